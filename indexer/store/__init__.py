"""The index on disk; reading and writing live side by side."""
