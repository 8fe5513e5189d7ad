"""Monitoring of the model in production: drift, realised and estimated error, coverage, staleness, and the decision.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
