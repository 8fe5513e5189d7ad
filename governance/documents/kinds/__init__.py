"""The project's own documents, one folder each."""
