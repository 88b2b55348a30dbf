"""The paper's tables in miniature: what tools/paper.py runs, a module a table."""
