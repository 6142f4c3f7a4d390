"""What stands for the derivative of rounding, one file an estimator."""
