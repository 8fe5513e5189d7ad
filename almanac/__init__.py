"""The library: from a use case file to an evaluated, documented model; no Kubeflow, HTTP server or command line."""
