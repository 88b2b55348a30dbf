"""Models over HTTP: one process, a queue with a limit, and a page to try them."""
