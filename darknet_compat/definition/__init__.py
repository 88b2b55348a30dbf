"""A `.cfg` understood: what a network is, and which weights belong to it."""
