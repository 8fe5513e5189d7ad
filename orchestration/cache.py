"""Cache of local steps by content: the same code never runs twice on the same inputs.

kfp's own local cache identifies an artifact by its address. A step that runs again therefore invalidates every step
after it, and a damaged file at a known address is used as it is. Here a key holds the digests of the inputs and of the
code, and an entry is used only while its files have the digests that were recorded with it.
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
from almanac.usecase import digest, load
from almanac.usecase.views import reads
from orchestration.code_digest import code_digest
from orchestration.module_names import ModuleNames


class ContentCache(kfp_cache.LocalCache):  # type: ignore[misc]
    """A cache of task outputs, keyed by digests and verified on every hit.

    Args:
        cache_root: Directory of the entries.
        registry_state: Returns the digest of the state of the registry at an address, as far as a component reads it;
            a part of the key of every task with a registry.
        settled: Components that write to the registry; their entries are void if the registry is empty.

    Attributes:
        outputs: Outputs by component, of every cacheable task that ran or was found in this run.
        on_hit: Called with each component whose outputs were found.
        summaries: Summary of each task, kept with its entry; the runner fills them in.
    """

    def __init__(
        self,
        cache_root: Path,
        registry_state: Callable[[str, str], str] = lambda component, url: "",
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
        self._codes: dict[str, str] = {}
        self._modules = ModuleNames(cache_root / "module_names.json")

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """Return the key of a task from the digests of its code and of its inputs."""
        name = component_name.removeprefix("comp-")
        parts = {
            "component": name,
            # Releases differ by image.
            "image": image,
            "command": full_command,
            "code": self._code(name),
            "arguments": _by_content(arguments) | _use_case(name.replace("-", "_"), arguments),
            "environment": env_vars or {},
            "registry": self._registry_state(name, arguments["registry"]) if "registry" in arguments else "",
        }
        # In an empty registry nothing of an earlier run is left, so that the step has to write it again.
        if name in self._settled and "registry" in arguments and not parts["registry"]:
            parts["registry"] = f"nothing yet, {uuid.uuid4()}"
        key = sha256_bytes(canonical_json(parts))
        self._names[key] = name
        self._calls[name] = (component_name, image, full_command, arguments, env_vars)
        return key

    def _code(self, name: str) -> str:
        """Return the digest of a component's code when this run first asked for it, before the component ran."""
        if name not in self._codes:
            self._codes[name] = code_digest(name.replace("-", "_"), modules=self._modules)
        return self._codes[name]

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the outputs of a key, or None if there are none or a file of theirs has changed."""
        try:
            entry = json.loads(Path(self._entry_path(key)).read_bytes())
            outputs: dict[str, Any] = self._deserialize_outputs(entry["outputs"])
        except (OSError, ValueError, KeyError, kfp_cache._MissingArtifactError):
            return None
        # A killed run or a full disk leaves a file that is not the one that was recorded.
        if _digests(outputs) != entry["digests"]:
            return None
        name = self._names[key]
        self.outputs[name] = outputs
        _touch(outputs)
        if entry["summary"] is not None:
            self.summaries[name] = Summary(entry["summary"]["rows"], entry["summary"]["figure"])
        self.on_hit(name)
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Save the outputs of a key, completely or not at all."""
        name = self._names[key]
        self.outputs[name] = outputs
        _complete(outputs)
        summary = self.summaries.get(name)
        entry = {
            "outputs": self._serialize_outputs(outputs),
            "digests": _digests(outputs),
            "summary": None if summary is None else {"rows": summary.rows, "figure": summary.text},
        }
        path = Path(self._entry_path(key))
        # Another run may read the entry at any time.
        aside = path.with_suffix(f".{os.getpid()}.partial")
        aside.write_bytes(json.dumps(entry).encode())
        aside.replace(path)

    def settle(self, components: Iterable[str]) -> None:
        """Save the outputs of components again under the registry's present state, which they changed themselves.

        A further run on the same inputs then finds them, as long as nothing else changes the registry.
        """
        for name in components:
            if name in self._calls and name in self.outputs:
                self.put(self.compute_key(*self._calls[name]), self.outputs[name])

    def summarize(self, name: str, rows: int | None, figure: str) -> None:
        """Record the summary of a task, to be saved with its entry."""
        self.summaries[name] = Summary(rows, figure)


def install(cache: ContentCache) -> ContentCache:
    """Make kfp's local runs use a cache; call it after `kfp.local.init`."""
    # kfp has no way to hand in a cache.
    kfp_cache._cache_singleton = cache
    kfp_cache._cache_singleton_root = cache.cache_root
    return cache


def digest_of(path: Path) -> str:
    """Return the digest of a file, or of the names and contents of all files below a directory."""
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_bytes("\n".join(f"{file.relative_to(path)} {sha256_file(file)}" for file in files).encode())


def _use_case(component: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the digest of the part of the use case that a component reads, in place of that of the whole."""
    artifact = arguments.get("usecase")
    if not isinstance(artifact, dsl.Artifact) or not Path(artifact.uri).is_file():
        return {}
    return {"usecase": digest(reads(load(Path(artifact.uri)), component))}


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
    """Return the digests of the artifacts among outputs; that of a missing file is empty."""
    paths = {name: Path(value.uri) for name, value in outputs.items() if isinstance(value, dsl.Artifact)}
    return {name: digest_of(path) if path.exists() else "" for name, path in paths.items()}


def _complete(outputs: dict[str, Any]) -> None:
    """Create an empty file for each artifact that has only metadata, because a hit checks for files."""
    for value in outputs.values():
        if isinstance(value, dsl.Artifact) and not Path(value.uri).exists():
            Path(value.uri).parent.mkdir(parents=True, exist_ok=True)
            Path(value.uri).touch()


def _touch(outputs: dict[str, Any]) -> None:
    """Mark the working directories of outputs as used, so that they are pruned last."""
    for value in outputs.values():
        # An artifact's path is WORK/RUN/TASK/NAME.
        if isinstance(value, dsl.Artifact) and (work := Path(value.uri).parents[2]).is_dir():
            os.utime(work)
