"""How a function of parameters is evaluated."""
