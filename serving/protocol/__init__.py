"""KServe's V1 and V2 protocols over HTTP and gRPC: bytes to requests, predictions to bytes."""
