"""Predictions for every protocol: loaded models, traffic, cache, prediction log."""
