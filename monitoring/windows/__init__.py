"""Evaluation of the last windows of the model in production: drift, realised and estimated error, coverage."""
