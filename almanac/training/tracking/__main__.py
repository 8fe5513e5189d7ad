"""Track in a process of its own: the Comet archive of a DIRECTORY's record, or a request to MLflow on standard input.

python -m almanac.training.tracking comet DIRECTORY
python -m almanac.training.tracking mlflow < request.json
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.argv[1] == "mlflow":
        from almanac.training.tracking.mlflow_run import write_run

        write_run(json.load(sys.stdin))
    else:
        from almanac.training.tracking.archive import write_archive

        write_archive(Path(sys.argv[2]))
