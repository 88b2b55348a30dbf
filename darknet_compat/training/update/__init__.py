"""From gradients to new weights: rates, momentum, sparse rows."""
