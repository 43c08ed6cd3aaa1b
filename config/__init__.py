"""What every other package may know. Standard library only."""
