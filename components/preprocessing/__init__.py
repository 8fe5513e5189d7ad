"""Features from one specification: a batch engine for training and an online engine for serving."""

from components.preprocessing.spec import FeatureSpec

__all__ = ["FeatureSpec"]
