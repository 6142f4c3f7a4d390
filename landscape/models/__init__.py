"""Networks, one file each: a builder from knobs to an `nn.Module`, named after its file."""
