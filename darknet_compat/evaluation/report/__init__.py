"""A result as pictures and pages."""
