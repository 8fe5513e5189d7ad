"""The rules of validation."""
