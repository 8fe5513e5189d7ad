"""The remediation agent: it takes alarms, names causes with evidence, and acts by a policy."""
