"""The remediation component."""
