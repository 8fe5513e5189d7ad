"""A run with its documents, signed by a key of its own."""

from tests.support.governance_world import complete, signer, spoilt, trained, usecase, world

__all__ = ["complete", "signer", "spoilt", "trained", "usecase", "world"]
