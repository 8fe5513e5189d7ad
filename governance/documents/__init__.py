"""Governance documents in which each number is a reference to an artifact.

Import the modules themselves: a process that reads the registry needs the names of documents, but no templates.
"""
