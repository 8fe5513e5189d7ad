"""Documentation: a version's governance documents, attached to it, and its promotion where no approval is asked for.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
