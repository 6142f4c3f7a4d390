"""Post-training quantization: trained networks on grids, without training them again."""
