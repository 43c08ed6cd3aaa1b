"""Query in, answer out."""
