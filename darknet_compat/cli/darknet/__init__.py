"""Darknet's own command lines, the original's and the fork's, over this package's jobs."""
