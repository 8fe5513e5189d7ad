"""Evaluation of every target's model on the held-out span: metrics, error analysis, explanations and a report."""
