"""Deploys the production version of a use case, in two steps between which kustomize puts an overlay on it.

python -m serving.deploy.production render USECASE REGISTRY OUT
python -m serving.deploy.production apply USECASE REGISTRY OBJECTS

ALMANAC_PUSH names the directory of an exporter, or a Pushgateway, that is told what the version promises.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from almanac.core.errors import AlmanacError, DeploymentError
from almanac.usecase import load
from components.deployment.task import tell
from governance.registry import resolve
from serving.deploy.apply import apply_and_wait, connect
from serving.deploy.production import write_manifest
from serving.deploy.smoke import PATIENCE, forecasters, smoke

#: Address of the service, where it is not the one that it tells of itself; and an API key for it.
URL, KEY = "ALMANAC_URL", "ALMANAC_API_KEY"
PUSH = "ALMANAC_PUSH"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def render(usecase: Path, registry: str, out: Path) -> None:
    """Write the objects of the version in production."""
    write_manifest(load(usecase), registry, out)


@app.command()
def apply(
    usecase: Path,
    registry: str,
    objects: Path,
    timeout: Annotated[float, typer.Option(help="Seconds in which the service must be ready.")] = 600,
    patience: Annotated[float, typer.Option(help="Seconds in which it must then answer.")] = PATIENCE,
) -> None:
    """Apply objects on the cluster of KUBECONFIG, wait, test the service, and go back where it fails."""
    case, items = load(usecase), _read(objects)
    service = next(item for item in items if item["kind"] == "InferenceService")
    version = service["metadata"]["annotations"]["almanac.io/version"]
    models = forecasters(resolve(f"registry:{case.name}/{version}", registry))

    def check(found: dict[str, Any]) -> None:
        url = os.environ.get(URL) or (found.get("status") or {}).get("url")
        if not url:
            raise DeploymentError(f"it tells no address to test it at; give one in {URL}")
        smoke(url, models, os.environ.get(KEY), patience)

    apply_and_wait(items, connect(), timeout, check=check)
    if push := os.environ.get(PUSH):
        tell(case, version, registry, push)
    typer.echo(f"version {version} is ready in {service['metadata']['namespace']} and answers as its models do")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        items = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, yaml.YAMLError) as error:
        raise DeploymentError(f"{path}: cannot be read as YAML ({error})") from error
    if not any(isinstance(item, dict) and item.get("kind") == "InferenceService" for item in items):
        raise DeploymentError(f"{path}: holds no InferenceService")
    return items


def main(command: Callable[[], None] = app) -> int:
    """Run the command line and return its exit code."""
    try:
        command()
    except AlmanacError as error:
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
