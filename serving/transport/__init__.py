"""HTTP and gRPC transport: parsing, limits on messages, time-outs."""
