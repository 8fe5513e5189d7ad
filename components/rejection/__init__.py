"""The rejection component."""
