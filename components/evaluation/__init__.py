"""Evaluation: every target's model judged on the held-out span, in figures, evidence and a report."""

from components.evaluation.evaluate import Outputs, evaluate, flat, predictions, provenance

__all__ = ["Outputs", "evaluate", "flat", "predictions", "provenance"]
