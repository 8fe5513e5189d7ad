"""Remediation: what is done about a breach, at once or after an approval, and the log that proves it.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
