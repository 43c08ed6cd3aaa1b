"""The loops that read every byte, compiled from C: library.py loads them, the others call them."""
