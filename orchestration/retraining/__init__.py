"""Retraining after a breach: plans, the policy that allows them, the audit log, and the training that they start."""
