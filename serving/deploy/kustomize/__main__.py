"""Write the Kustomize base: `python -m serving.deploy.kustomize [--manifest FILE] [--out DIR]`."""

import argparse
import sys
from pathlib import Path

import yaml

from almanac.core.errors import AlmanacError, DeploymentError
from serving.deploy.kustomize.layout import BASE, objects, write


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser("python -m serving.deploy.kustomize", description="Write a kustomize base")
    parser.add_argument("--manifest", type=Path, help="inferenceservice.yaml of a run; the committed base by default")
    parser.add_argument("--out", type=Path, default=BASE, help="directory of the base")
    given = parser.parse_args(arguments)
    try:
        for path in write(_read(given.manifest) if given.manifest else objects(), given.out):
            print(path)
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _read(path: Path) -> list[dict[str, object]]:
    try:
        found = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, yaml.YAMLError) as error:
        raise DeploymentError(f"{path}: cannot be read as YAML ({error})") from error
    if not found or not all(isinstance(item, dict) and "kind" in item for item in found):
        raise DeploymentError(f"{path}: holds no Kubernetes objects; expected inferenceservice.yaml of a run")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
