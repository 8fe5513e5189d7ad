"""Options that the room's commands share."""

from pathlib import Path
from typing import Annotated

import typer

History = Annotated[
    str,
    typer.Option(
        "--history",
        metavar="URL",
        help="sqlite:///FILE or postgresql://…; ALMANAC_HISTORY, or history.db.",
    ),
]
Registry = Annotated[str, typer.Option("--registry", help="A path, s3:// or gs://; ALMANAC_REGISTRY, or registry.")]
Runs = Annotated[Path, typer.Option("--runs", help="Directory of run directories.")]
Log = Annotated[
    str, typer.Option("--log", envvar="ALMANAC_PREDICTION_LOG", help="Directory or URL of the prediction log.")
]
