"""Injected faults: how often the remediation agent names the right cause, how fast it acts, and its calibration."""
