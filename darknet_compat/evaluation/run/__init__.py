"""A model's answers to a data set, resumable."""
