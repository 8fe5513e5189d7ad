"""The evaluation component."""
