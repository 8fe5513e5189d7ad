"""Operating a server: worker processes, hot reload, live drift, scrapes."""
