"""Batch prediction of a table by the server's own code."""
