"""Kustomize base and overlays; the base holds the objects of `serving.deploy.manifests`, one file each."""
