"""The library: from a use case file to a judged, documented model; no Kubeflow, HTTP server or command line."""
