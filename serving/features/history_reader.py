"""Read the newest rows of a table, in a process of its own.

Arrow takes about a hundred megabytes to read a file, which a server would keep and never need again.
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


def newest_rows(path: Path, time: str, names: list[str], entity: str | None, count: int) -> dict[str, Any]:
    """Return the newest `count` rows of each entity in a table, with its time and the columns `names`.

    Gaps are skipped. Rows are selected before they become objects: a table has many more than are needed.

    Returns:
        `rows`, and `older`: for each entity with more rows the time of the newest one left out, under "" without an
        entity column.

    Raises:
        ServingError: not a Parquet file, or one without these columns.
    """
    from pyarrow import compute

    table = read_table(path, [time, *names, *([entity] if entity else [])])
    gaps = reduce(compute.and_, [table.column(name).is_null(nan_is_null=True) for name in names])
    table = table.filter(compute.invert(gaps))
    if entity is None:
        first = max(0, table.num_rows - count)
        older = {"": plain_rows(table.slice(first - 1, 1))[0][time]} if first else {}
        return {"rows": plain_rows(table.slice(first)), "older": older}
    newest: dict[Any, deque[int]] = defaultdict(deque)
    left: dict[Any, int] = {}
    for at, name in enumerate(table.column(entity).to_pylist()):
        newest[name].append(at)
        if len(newest[name]) > count:
            left[name] = newest[name].popleft()
    chosen = table.take(_indices(sorted(chain.from_iterable(newest.values()))))
    last = plain_rows(table.take(_indices(sorted(left.values()))))
    return {"rows": plain_rows(chosen), "older": {str(row[entity]): row[time] for row in last}}


def _indices(positions: list[int]) -> Any:
    """Return positions as an Arrow array; Arrow's own conversion of a list imports pandas, which takes far longer."""
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.int64(), len(positions), [None, pyarrow.py_buffer(array("q", positions))])


def main() -> int:
    """Read the request from standard input, print the rows as JSON, and return the exit code."""
    try:
        # The import takes longer than the reading, and runs while the server opens the store.
        import pyarrow.compute
        import pyarrow.parquet  # noqa: F401 - before the request arrives
    except ModuleNotFoundError as error:
        print(f"reading a table needs {error.name}, which is not installed here", file=sys.stderr)
        return 1
    request = json.load(sys.stdin)
    try:
        rows = newest_rows(Path(request.pop("path")), **request)
    except ServingError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    json.dump(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
