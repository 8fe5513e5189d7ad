"""Kustomize base and overlays; the base is what `serving.deploy.manifests` renders, one file an object."""
