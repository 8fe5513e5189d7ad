"""The process's own services: logs, traces, counters, writers."""
