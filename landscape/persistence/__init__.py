"""Sublevel sets of sampled functions: where they merge, what of it noise may have made, how rough they are."""
