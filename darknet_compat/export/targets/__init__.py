"""What other programs want of an exported network: layout, size, and the files that belong beside it."""
