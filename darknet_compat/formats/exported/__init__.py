"""What exported files say of themselves."""
