"""Deployment: manifests, Kustomize, applying them, and the smoke test."""
