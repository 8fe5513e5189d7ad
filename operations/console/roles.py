"""Roles of the console's users, and their permissions."""

from dataclasses import dataclass

ROLES = ("viewer", "approver", "operator", "admin")
#: Act -> the roles that may do it. Everybody who is logged in may look.
_ACTS = {
    "approve": ("approver", "admin"),
    "reject": ("approver", "admin"),
    "approve-plan": ("approver", "admin"),
    "reject-plan": ("approver", "admin"),
    "approve-action": ("approver", "admin"),
    "reject-action": ("approver", "admin"),
    "stop-agent": ("operator", "admin"),
    "release-agent": ("operator", "admin"),
    "promote": ("operator", "admin"),
    "rollback": ("operator", "admin"),
    "stop": ("operator", "admin"),
    "release": ("operator", "admin"),
}


@dataclass(frozen=True)
class User:
    """Somebody who is logged in.

    Attributes:
        name: the name that events carry.
        role: one of ROLES.
        proof: what proved the name: `key`, `link` or `oidc`.
    """

    name: str
    role: str
    proof: str

    def may(self, act: str) -> bool:
        """Return whether the role allows an act."""
        return self.role in _ACTS[act]


def allowed(act: str) -> str:
    """Return the roles that may do an act, for a refusal."""
    return " or ".join(_ACTS[act])
