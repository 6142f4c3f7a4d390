"""Following the units of a network through its forward pass: a rule for every operator."""
