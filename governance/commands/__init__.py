"""Commands of the registry and of verification, for `almanac registry`, `almanac verify` and `python -m governance`."""

# Imported for their commands, in the order in which the help lists them.
from governance.commands import versions, decisions, labels, authority, verification  # noqa: F401, I001
from governance.commands.common import app, registry_app

__all__ = ["app", "registry_app"]
