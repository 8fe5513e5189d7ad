"""Drift, metrics, alerts, dashboards and what follows from an alarm."""
