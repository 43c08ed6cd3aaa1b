"""The long-lived processes and their doors."""
