"""Batch prediction by the model in production.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
