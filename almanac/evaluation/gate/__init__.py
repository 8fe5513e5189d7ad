"""The gate: a bool from the rules in the use case, closed by default.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
