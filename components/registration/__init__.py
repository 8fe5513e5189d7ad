"""The registration component."""
