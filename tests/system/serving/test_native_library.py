"""A server with and without its compiled libraries: the same answers, one line on the console, one metric."""

from pathlib import Path

import pytest

from almanac.core.files import read_json
from tests.support.golden import GOLDEN
from tests.support.server import ServerProcess, Start, wait_for

_GOLDEN = read_json(GOLDEN / "expected.json")["lightgbm"]
# The first row has missing values, which a tensor in JSON cannot hold.
ROWS, EXPECTED = _GOLDEN["rows"][1:], _GOLDEN["predictions"]["prediction"][1:]
_SERIES = 'almanac_native_library{library="%s"}'


def _libraries(server: ServerProcess) -> dict[str, str]:
    lines = [line.rsplit(" ", 1) for line in server.get("/metrics").body.decode().splitlines()]
    names = ("kernels", "features")
    return {name: value for series, value in lines for name in names if series == _SERIES % name}


@pytest.mark.parametrize("compiled", [True, False])
def test_a_server_reports_which_libraries_run(compiled: bool, tmp_path: Path, start: Start) -> None:
    missing = {"CC": "no-such-compiler", "ALMANAC_KERNELS": str(tmp_path)}
    server = start(model=GOLDEN / "lightgbm", environment={} if compiled else missing)
    values = [value for row in ROWS for value in row]
    tensor = {"name": "rows", "shape": [len(ROWS), len(ROWS[0])], "datatype": "FP64", "data": values}
    answer = server.post("/v2/models/pm25_6h/infer", {"inputs": [tensor]})
    assert answer.status == 200, answer.body
    outputs = {output["name"]: output["data"] for output in answer.json["outputs"]}
    assert outputs["prediction"] == EXPECTED
    wait_for(lambda: len(_libraries(server)) == 2)  # the features' library is opened behind the first answers
    assert set(_libraries(server).values()) == {"1.0" if compiled else "0.0"}
    console = server.stop()
    for slower in ("trees predict", "features are computed"):
        assert console.count(f"{slower} several times slower without compiled code") == (0 if compiled else 1)
