"""The ingestion component."""
