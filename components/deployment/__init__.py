"""The deployment component."""
