"""Services of the server process: errors, requests, logs, traces, counters, writers."""
