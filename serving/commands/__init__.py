"""Commands of `python -m serving` besides serving."""
