"""Registration: the run's model, figures and evidence become a version in the registry, signed.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
