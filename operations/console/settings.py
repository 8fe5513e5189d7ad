"""Settings of the console."""

from dataclasses import dataclass
from pathlib import Path

from operations.history import Origins


@dataclass(frozen=True)
class ConsoleSettings:
    """Settings of the console.

    Attributes:
        history: address of the history.
        origins: where the history comes from.
        keys: file of the users' keys; None where links are the only way in.
        oidc: file of the settings of a login by a provider; None without.
        signing: private key by which the console signs what its users decide; None for typed names.
        secure: whether cookies are sent over TLS alone, as behind an ingress.
        audit: file that every login and act is appended to.
        refresh_seconds: seconds between two looks at the origins.
    """

    history: str
    origins: Origins
    keys: Path | None
    oidc: Path | None
    signing: Path | None
    secure: bool
    audit: Path
    refresh_seconds: float = 10.0
