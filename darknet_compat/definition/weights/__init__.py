"""The weights of a definition: their order, reading, writing, folding, and what does not fit."""
