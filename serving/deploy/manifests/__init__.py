"""The Kubernetes objects that serve a registered version: what KServe makes pods from, and what it does not make."""

from serving.deploy.manifests.objects import Deployment, render, to_yaml

__all__ = ["Deployment", "render", "to_yaml"]
