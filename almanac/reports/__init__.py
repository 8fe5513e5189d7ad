"""Self-contained HTML reports with one look."""
