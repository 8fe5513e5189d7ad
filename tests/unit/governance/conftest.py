"""A run with its documents, signed by a key of its own."""

from tests.support.governance_world import signer, spoilt, trained, usecase, world

__all__ = ["signer", "spoilt", "trained", "usecase", "world"]
