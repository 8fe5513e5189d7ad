"""Keys and names of this machine's user are kept out of the tests."""

from tests.support.governance_world import signer

__all__ = ["signer"]
