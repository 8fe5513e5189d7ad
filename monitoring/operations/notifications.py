"""Whether alerts can leave the machine: the secrets and addresses that Alertmanager's configuration names.

Alertmanager reads a secret when the first alert fires, and writes to its log that it could not. This says it before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import MetricError

#: Domains that no mail and no message reaches (RFC 2606).
_RESERVED = ("example.org", "example.com", "example.net", ".example", ".invalid", ".test")


def problems(config: Path) -> list[str]:
    """Return the faults that keep a configuration's notifications from their receivers; empty if there are none.

    Args:
        config: Alertmanager's configuration. A secret with a relative path is in a directory beside it.

    Raises:
        MetricError: a configuration that cannot be read.
    """
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise MetricError(f"{config}: cannot be read as Alertmanager's configuration ({error})") from error
    if not isinstance(document, dict) or not document.get("receivers"):
        raise MetricError(f"{config}: no receivers; expected Alertmanager's configuration")
    found = []
    for place, key, value in _leaves(document, ""):
        if key.endswith("_file"):
            # Alertmanager takes a relative path from its configuration's directory.
            found += _secret(config.parent / value, place)
        elif any(value.partition(":")[0].endswith(domain) for domain in _RESERVED):
            found.append(f"{place} is {value!r}, an example; write an address of your own")
    return found


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str, str]]:
    """Yield place, key and text of each text in a configuration."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        inner = f"{place}.{key}" if place else str(key)
        if isinstance(part, str):
            yield inner, str(key), part
        yield from _leaves(part, inner)


def _secret(path: Path, place: str) -> list[str]:
    """Return the problem of a secret's file, named without anything of its content."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return [f"{place}: {path} is missing; write the secret to it"]
    except (OSError, UnicodeDecodeError) as error:
        return [f"{place}: {path} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"]
    if not text:
        return [f"{place}: {path} is empty; write the secret to it"]
    # A token in place of the webhook's address is easily pasted; the text itself is not shown, as it is a secret.
    if place.endswith("url_file") and not text.startswith(("http://", "https://")):
        return [f"{place}: {path} does not hold a URL"]
    return []
