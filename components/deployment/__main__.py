"""Deploys the production version of a use case: `python -m components.deployment USECASE REGISTRY OUT`."""

import sys
from pathlib import Path

from components.common.errors import AlmanacError
from components.deployment.task import run
from components.usecase import dump, load


def main() -> int:
    """Apply the manifests on the cluster of KUBECONFIG, and wait until they are ready; go back where they are not."""
    usecase, registry, out = sys.argv[1:]
    try:
        done = run(dump(load(Path(usecase))), registry, "cluster", Path(out))
    except AlmanacError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"version {done['version']} is ready\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
