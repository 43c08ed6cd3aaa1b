"""Similarity kernels: one contract, several implementations that must agree."""
