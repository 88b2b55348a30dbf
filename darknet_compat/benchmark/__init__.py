"""How fast: whole chains against other programs, in one interleaved run."""
