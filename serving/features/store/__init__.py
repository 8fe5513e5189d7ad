"""The feature store: observations by entity and time, in memory, SQLite or Redis."""
