"""The other programs that a benchmark measures beside ours."""
