"""Backups of the registry, the run directories and the prediction log: one archive, checked when it is restored."""

from operations.backup.archive import Contents, create, inspect
from operations.backup.restoration import Restored, restore

__all__ = ["Contents", "Restored", "create", "inspect", "restore"]
