"""The validation component."""
