"""Counting of columns: frozen histograms, and tallies that add up. Nothing here needs polars but `categories`."""
