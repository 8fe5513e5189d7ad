"""The monitoring component."""
