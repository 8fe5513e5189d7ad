"""Training: candidates, tuning, choice, intervals and the model directory.

Import the modules by name; this package imports nothing, so that a server can load a model without the training stack.
"""
