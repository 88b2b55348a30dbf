"""The original beside ours: every layer's output compared, number by number, and reported."""
