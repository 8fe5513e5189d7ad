"""Tables: sources, joins, lineage and validation."""
