"""Tables: sources, formats, joins, lineage, checks and validation."""
