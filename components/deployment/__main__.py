"""Deploys the production version of a use case: `python -m components.deployment USECASE REGISTRY OUT`.

ALMANAC_PUSH names the directory of an exporter, or a Pushgateway, that is told what the version promises.
"""

import os
import sys
from pathlib import Path

from components.common.errors import AlmanacError
from components.deployment.task import run
from components.usecase import dump, load


def main() -> int:
    """Apply the manifests on the cluster of KUBECONFIG, and wait until they are ready; go back where they are not."""
    usecase, registry, out = sys.argv[1:]
    try:
        done = run(dump(load(Path(usecase))), registry, "cluster", Path(out), os.environ.get("ALMANAC_PUSH", ""))
    except AlmanacError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"version {done['version']} is ready\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
