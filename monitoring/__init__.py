"""Monitoring: judged windows, metrics, alert rules, dashboards and runbooks."""
