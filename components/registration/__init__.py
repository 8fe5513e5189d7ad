"""Registration: the run's model, figures and evidence become a version in the registry, signed."""

from components.registration.register import Artifacts, actor, register

__all__ = ["Artifacts", "actor", "register"]
