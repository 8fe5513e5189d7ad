"""The documentation component."""
