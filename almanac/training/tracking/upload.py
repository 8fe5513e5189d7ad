"""Upload of an archive, the only step that needs the tracking server."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from almanac.core.errors import TrackingError

_SECONDS = 5.0


def find_archive(run: Path) -> Path:
    """Return the archive of a run directory, or of the tracking directory itself.

    Raises:
        TrackingError: there is none, or the directory does not exist.
    """
    archives = sorted([*run.glob("comet/*.zip"), *run.glob("*.zip")])
    if not archives:
        raise TrackingError(f"{run}: no Comet archive in it or in its folder comet; give a run directory")
    return archives[-1]


def upload(run: Path) -> Path:
    """Upload a run's archive to Comet and return its path.

    Raises:
        TrackingError: no archive, no key, an unreachable server, or its refusal; the archive stays as it is.
    """
    archive = find_archive(run)
    key = os.environ.get("COMET_API_KEY")
    if not key:
        raise TrackingError(f"COMET_API_KEY is not set; {archive.name} is kept and can be uploaded later")
    from comet_ml.config import get_config  # type: ignore[attr-defined]
    from comet_ml.offline import upload_single_offline_experiment

    address = str(get_config()["comet.url_override"])
    try:
        reach(address)
    except OSError as error:
        raise TrackingError(
            f"Comet's server {urlsplit(address).hostname} cannot be reached ({error}); {archive.name} is kept for later"
        ) from error
    try:
        # Not forced: the key follows from the record, so that the same training is refused a second time.
        done = upload_single_offline_experiment(str(archive), api_key=key, force_upload=False)
    except Exception as error:
        raise TrackingError(f"Comet refused {archive.name}: {error}; it is kept and can be uploaded later") from error
    if not done:
        raise TrackingError(f"Comet did not take {archive.name}; it is kept and can be uploaded later")
    return archive


def reach(address: str) -> None:
    """Connect to a server's port, since the clients of trackers wait for minutes where nobody answers.

    Raises:
        OSError: it cannot be reached.
    """
    parts = urlsplit(address)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    socket.create_connection((parts.hostname or "", port), timeout=_SECONDS).close()
