"""How good a model is: scores on labelled pictures."""
