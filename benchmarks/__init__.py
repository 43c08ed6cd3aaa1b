"""One file per question; results in runs/."""
