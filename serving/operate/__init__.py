"""Running the server: processes, lifecycle, cache, hot swap, logs and traces."""
