"""Entry point of the configuration component."""

from pathlib import Path
from typing import Any

from almanac.core.files import write_text
from almanac.core.progress import summary
from almanac.usecase import digest, dump
from almanac.usecase.override import override
from governance.registry import require_address
from governance.registry.carried import read_compiled


def run(compiled: str, overrides: str, registry: str, environment: str, out: Path) -> dict[str, Any]:
    """Read the use case, apply the overrides, write it, and return the artifact's metadata.

    Args:
        compiled: name and digest of the use case.
        overrides: changed fields as a YAML mapping; none when empty.
        registry: address of the model registry.
        environment: local or cluster.
        out: the file to write.

    Raises:
        PipelineError: neither the pipeline nor the registry holds the use case, or the pipeline that of another
            compilation.
        RegistryError: a cluster lacks the registry's address.
        UseCaseError: an override that breaks a rule.
    """
    # Here, because a later task would find out after an hour of work.
    require_address(registry, environment)
    changed = override(read_compiled(compiled, registry), overrides)
    write_text(out, dump(changed))
    summary(f"{changed.name}, digest {digest(changed)[:12]}")
    return {"use_case": changed.name, "use_case_digest": digest(changed)}
