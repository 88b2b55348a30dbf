"""A folder for the machine in the field: a model, and what runs it there without this package."""
