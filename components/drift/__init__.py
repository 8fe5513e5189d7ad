"""Drift of the newest window against the model in production or, before there is one, against the training span."""

from components.drift.detect import Outcome, detect

__all__ = ["Outcome", "detect"]
