"""One file a layout of labelled pictures."""
