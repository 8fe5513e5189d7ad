"""Registration: the run's model, figures and evidence become a version in the registry, signed."""

from typing import TYPE_CHECKING

from components.common.lazy import lazily

if TYPE_CHECKING:
    from components.registration.register import Artifacts, actor, register

__all__ = ["Artifacts", "actor", "register"]

__getattr__ = lazily(__name__, {"Artifacts": "register", "actor": "register", "register": "register"})
