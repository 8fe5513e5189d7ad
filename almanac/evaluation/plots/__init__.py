"""Plots of the evaluation report; each returns a matplotlib figure."""
