"""What the definitions in cfg/ are written from."""
