"""The published measures of sharpness, a file for each family of them."""
