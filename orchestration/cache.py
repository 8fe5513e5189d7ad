"""Caching of local steps by content: the same inputs and the same code are never run twice.

kfp's own local cache knows an artifact by its address, so that a step that ran again gives new addresses and
everything after it runs again too, and it trusts whatever it finds at an address. Here a key holds the digests
of the inputs and of the code, and an entry is only used while its files still have the digests it was made with.
"""

import json
import os
import uuid
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache as kfp_cache

from almanac.core.files import canonical_json, sha256_bytes, sha256_file
from almanac.core.progress import Summary
from orchestration.code_digest import code_digest


class ContentCache(kfp_cache.LocalCache):  # type: ignore[misc]
    """A cache of task outputs, keyed by digests, verified on every hit.

    Args:
        cache_root: Directory of the entries.
        registry_state: Returns what the registry holds now; part of the key of every task that is given a registry.
        settled: Components that write to the registry. Where it holds nothing, what they wrote is gone as well.

    Attributes:
        outputs: Outputs by component, of every cacheable task that ran or was found in this run.
        on_hit: Called with each component whose outputs were found.
        summaries: What each task told of itself; filled in by the runner, kept with the entry.
    """

    def __init__(
        self,
        cache_root: Path,
        registry_state: Callable[[str], str] = lambda url: "",
        settled: Collection[str] = (),
    ) -> None:
        super().__init__(cache_root=str(cache_root))
        self._registry_state = registry_state
        self._settled = settled
        self._calls: dict[str, tuple[Any, ...]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.on_hit: Callable[[str], None] = lambda name: None
        self.summaries: dict[str, Summary] = {}
        self._names: dict[str, str] = {}

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """Return the key of a task: digests of its code and of the content of its inputs."""
        name = component_name.removeprefix("comp-")
        parts = {
            "component": name,
            "image": image,
            "command": full_command,
            "code": code_digest(name.replace("-", "_")),
            "arguments": _by_content(arguments),
            "environment": env_vars or {},
            "registry": self._registry_state(arguments["registry"]) if "registry" in arguments else "",
        }
        if name in self._settled and "registry" in arguments and not parts["registry"]:
            parts["registry"] = f"nothing yet, {uuid.uuid4()}"
        key = sha256_bytes(canonical_json(parts))
        self._names[key] = name
        self._calls[name] = (component_name, image, full_command, arguments, env_vars)
        return key

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the outputs kept under `key` if every file of theirs is what it was, or None."""
        try:
            entry = json.loads(Path(self._entry_path(key)).read_bytes())
            outputs: dict[str, Any] = self._deserialize_outputs(entry["outputs"])
        except (OSError, ValueError, KeyError, kfp_cache._MissingArtifactError):
            return None
        if _digests(outputs) != entry["digests"]:
            return None
        name = self._names[key]
        self.outputs[name] = outputs
        _touch(outputs)
        if entry["summary"] is not None:
            self.summaries[name] = Summary(**entry["summary"])
        self.on_hit(name)
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep `outputs` under `key`, whole or not at all."""
        name = self._names[key]
        self.outputs[name] = outputs
        _complete(outputs)
        summary = self.summaries.get(name)
        entry = {
            "outputs": self._serialize_outputs(outputs),
            "digests": _digests(outputs),
            "summary": None if summary is None else {"rows": summary.rows, "figure": summary.figure},
        }
        path = Path(self._entry_path(key))
        aside = path.with_suffix(f".{os.getpid()}.partial")
        aside.write_bytes(json.dumps(entry).encode())
        aside.replace(path)

    def settle(self, components: Iterable[str]) -> None:
        """Keep the outputs of `components` for the registry as it is now, after they themselves changed it.

        What they did to this registry is done; with nothing else changed they need not do it again.
        """
        for name in components:
            if name in self._calls and name in self.outputs:
                self.put(self.compute_key(*self._calls[name]), self.outputs[name])

    def tell(self, name: str, rows: int | None, figure: str) -> None:
        """Note what a task told of itself, to be kept with its entry."""
        self.summaries[name] = Summary(rows, figure)


def install(cache: ContentCache) -> ContentCache:
    """Make kfp's local runs use `cache`; call it after `kfp.local.init`."""
    kfp_cache._cache_singleton = cache
    kfp_cache._cache_singleton_root = cache.cache_root
    return cache


def digest_of(path: Path) -> str:
    """Return the digest of a file, or of all the files below a directory with their names."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_bytes("\n".join(f"{file.relative_to(path)} {sha256_file(file)}" for file in files).encode())


def _by_content(value: Any) -> Any:
    if isinstance(value, dsl.Artifact):
        path = Path(value.uri)
        return {"artifact": value.name, "content": digest_of(path) if path.exists() else value.uri}
    if isinstance(value, list):
        return [_by_content(item) for item in value]
    if isinstance(value, dict):
        return {key: _by_content(item) for key, item in value.items()}
    return value


def _digests(outputs: dict[str, Any]) -> dict[str, str]:
    """Return the digests of the artifacts among `outputs`; a file that is gone has none."""
    paths = {name: Path(value.uri) for name, value in outputs.items() if isinstance(value, dsl.Artifact)}
    return {name: digest_of(path) if path.exists() else "" for name, path in paths.items()}


def _complete(outputs: dict[str, Any]) -> None:
    """Give artifacts that are metadata alone, such as metrics, an empty file, so that none is missed later."""
    for value in outputs.values():
        if isinstance(value, dsl.Artifact) and not Path(value.uri).exists():
            Path(value.uri).parent.mkdir(parents=True, exist_ok=True)
            Path(value.uri).touch()


def _touch(outputs: dict[str, Any]) -> None:
    """Mark the working directories that outputs lie in as used, so that they are pruned last."""
    for value in outputs.values():
        if isinstance(value, dsl.Artifact) and (work := Path(value.uri).parents[2]).is_dir():
            os.utime(work)
