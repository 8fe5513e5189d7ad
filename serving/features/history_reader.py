"""The newest rows of a table, read in a process of its own.

What Arrow takes to read a file, about a hundred megabytes, would stay with a server that never needs it again.
"""

import json
import sys
from array import array
from collections import defaultdict, deque
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError
from serving.features.store.tables import plain_rows, read_table


def newest_rows(path: Path, time: str, names: list[str], entity: str | None, count: int) -> list[dict[str, Any]]:
    """Return the newest `count` rows of each entity in a table, with its time and the columns `names`.

    Gaps are passed over. The rows are found before they are made objects: a table has many more than are needed.

    Raises:
        ServingError: not a Parquet file, or one without these columns.
    """
    from pyarrow import compute

    table = read_table(path, [time, *names, *([entity] if entity else [])])
    gaps = reduce(compute.and_, [table.column(name).is_null(nan_is_null=True) for name in names])
    table = table.filter(compute.invert(gaps))
    if entity is None:
        return plain_rows(table.slice(max(0, table.num_rows - count)))
    newest: dict[Any, deque[int]] = defaultdict(lambda: deque(maxlen=count))
    for at, name in enumerate(table.column(entity).to_pylist()):
        newest[name].append(at)
    return plain_rows(table.take(_indices(sorted(chain.from_iterable(newest.values())))))


def _indices(places: list[int]) -> Any:
    """Return the places as Arrow has them; its own way from a list imports pandas, which takes longer than all else."""
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.int64(), len(places), [None, pyarrow.py_buffer(array("q", places))])


def main() -> int:
    """Read what standard input asks for, and print the rows as JSON; return the exit code."""
    try:
        import pyarrow.compute
        import pyarrow.parquet  # noqa: F401 - while the question is awaited
    except ModuleNotFoundError as error:
        print(f"to read it takes {error.name}, which is not installed here", file=sys.stderr)
        return 1
    asked = json.load(sys.stdin)
    try:
        rows = newest_rows(Path(asked.pop("path")), **asked)
    except ServingError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    json.dump(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
