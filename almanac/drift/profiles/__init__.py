"""Reference profiles: from a table to a frozen reference, its blocks and seasons, merging, and files."""
