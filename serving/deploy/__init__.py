"""Deployment on a cluster: manifests, kustomize base, server-side apply, smoke test."""
