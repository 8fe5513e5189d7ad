"""Drift of the newest window against the model in production or, before there is one, against the training span.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
