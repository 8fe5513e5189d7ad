"""What the component runs: prediction, the file, and the log of what was predicted."""

from pathlib import Path
from typing import Any

import fsspec

from almanac.core.errors import TableError
from almanac.core.files import sha256_file, whole_file
from almanac.core.image import VERSION
from almanac.core.progress import summary
from almanac.usecase import UseCase, digest, load_text
from serving.batch.predict import Predicted, predict


def run(usecase: str, table: Path, registry: str, span: tuple[str, str], log: str, out: Path) -> dict[str, Any]:
    """Predict, write predictions.parquet, keep a copy in the log, and return the artifact's metadata.

    Args:
        usecase: the use case as JSON.
        table: the validated table.
        registry: address of the model registry.
        span: first prediction time and end, see `components.prediction.span.wanted`.
        log: directory of the log; none when empty.
        out: where to write.
    """
    case = load_text(usecase, "usecase")
    predicted = predict(case, table, registry, *span)
    with whole_file(out) as aside:
        predicted.table.write_parquet(aside, compression="zstd")
    if log:
        keep(case, predicted, out, log)
    summary(f"{len(case.targets)} targets by version {predicted.version}", predicted.table.height)
    return {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "data_digest": sha256_file(table),
        "model_version": predicted.version,
        "model_digest": predicted.digest,
        "rows": predicted.table.height,
        "library_version": VERSION,
    }


def keep(usecase: UseCase, predicted: Predicted, source: Path, log: str) -> str:
    """Copy a file of predictions to the log and return its address; the same predictions have the same name.

    Raises:
        TableError: the log cannot be written.
    """
    times = predicted.table[usecase.time.column].sort()
    span = "-".join(moment.strftime("%Y%m%dT%H%M%S") for moment in (times[0], times[-1]))
    address = f"{log.rstrip('/')}/{usecase.name}/{span}-v{predicted.version}.parquet"
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        # No reader of the log sees a part of a file.
        filesystem.put_file(str(source), f"{path}.partial")
        filesystem.mv(f"{path}.partial", path)
    except (OSError, ImportError, ValueError) as error:
        raise TableError(f"{address}: the log of predictions cannot be written ({error})") from error
    return address
