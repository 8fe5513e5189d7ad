"""Evaluation: every target's model judged on the held-out span, in figures, evidence and a report.

Import the modules by name: a pipeline needs the signatures of its components, and none of the libraries they call.
"""
