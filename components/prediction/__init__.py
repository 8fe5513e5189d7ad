"""The prediction component."""
