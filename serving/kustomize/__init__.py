"""Kustomize base and overlays; the base is what `serving.manifests` renders, one file an object."""
