"""Large bodies: read in pieces they are what they are as a whole, and single rows need not wait for them."""

import asyncio
import gc
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from almanac.model.bundle import Bundle, load_bundle
from serving.features.records import EntityRequest, parse, read
from serving.prediction.service import Service
from serving.protocol.chunked import read_in_pieces
from serving.protocol.json_lists import PIECE_BYTES
from serving.protocol.message import encode, encode_large
from serving.protocol.row_decoder import RowDecoder
from serving.protocol.step_forecasts import StepForecasts
from serving.runtime.bounds import Bounds
from serving.runtime.errors import HTTPError
from tests.support.server import FEATURES, ServerProcess, as_row
from tests.system.serving.test_operation import total


@pytest.fixture(scope="module")
def bundle(model_dir: Path) -> Bundle:
    return load_bundle(model_dir)


def in_pieces(body: bytes, bundle: Bundle, whole: Callable[[], None] = lambda: None) -> Any:
    """Read a body in pieces; `whole` is called where it had to be read as a whole."""

    class Counting(ThreadPoolExecutor):
        def submit(self, *given: Any, **named: Any) -> Any:
            if getattr(given[0], "__name__", "") == "<lambda>":
                whole()
            return super().submit(*given, **named)

    async def run() -> Any:
        with Counting(1) as executor:
            return await read_in_pieces(body, RowDecoder(bundle.columns), bundle.columns, executor, Bounds())

    return asyncio.run(run())


def table(rows: list[dict[str, object]]) -> dict[str, list[object]]:
    return {name: [row[name] for row in rows] for name in FEATURES}


def forms(rows: list[dict[str, object]]) -> dict[str, Any]:
    turned = [dict(reversed(row.items())) for row in rows]
    time_of = "2014-01-01T00:00:00"
    history = {"pm25": [1.5, None] * 9, "cbwd": ["NW", "cv"] * 9}
    return {
        "named": {"instances": rows},
        "turned": {"instances": turned},
        "ordered": {"instances": [list(row.values()) for row in rows]},
        "mixed": {"instances": [list(row.values()) if at % 3 else row for at, row in enumerate(rows)]},
        "table": {"inputs": table(rows)},
        "moments": {"instances": [{"entity": "},{" * 40 + str(at), "time": time_of} for at in range(len(rows))]},
        "histories": {"instances": [{"time": time_of, "history": history} for _ in rows[:500]]},
    }


NAMES = ("named", "turned", "ordered", "mixed", "table", "moments", "histories")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spaces", [None, 1])
def test_a_body_in_pieces_is_what_it_is_as_a_whole(
    name: str, spaces: int | None, bundle: Bundle, feature_rows: np.ndarray
) -> None:
    document = forms([as_row(values) for values in feature_rows[:1000]])[name]
    body = json.dumps(document, indent=spaces).encode()
    assert len(body) > 2 * PIECE_BYTES
    wholes: list[int] = []
    found, expected = in_pieces(body, bundle, lambda: wholes.append(1)), read(parse(body), bundle.columns)
    if isinstance(expected, list):
        assert found == expected
    else:
        np.testing.assert_array_equal(found, expected)
    assert not wholes  # not even the moments, whose texts look like the space between two rows


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_anywhere_is_told_as_it_is_of_a_whole_body(name: str, bundle: Bundle, feature_rows: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[:600]]
    body = json.dumps(forms(rows)[name]).encode()
    chance = random.Random(5)
    for _ in range(60):
        at = chance.randrange(len(body))
        faulty = (
            body[:at]
            + chance.choice([b"", b"]", b"}", b",", b'"', b"x", b"NaN", b"[{", b"]},{[", b"\xff"])
            + body[at + 1 :]
        )
        outcomes = []
        for way in (lambda: in_pieces(faulty, bundle), lambda: read(parse(faulty), bundle.columns)):  # noqa: B023
            try:
                outcomes.append(way())
            except HTTPError as refusal:
                outcomes.append(str(refusal))
        if isinstance(outcomes[1], np.ndarray):
            np.testing.assert_array_equal(outcomes[0], outcomes[1])
        else:
            assert outcomes[0] == outcomes[1] or (isinstance(outcomes[0], str) and isinstance(outcomes[1], str))


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": []' + b" " * 20_000 + b"}",
        b'{"instances": [' + b" " * 20_000 + b"]}",
        b'{"inputs": {' + b" " * 20_000 + b"}}",
        b'{"instances": [{}], "instances": [{}]' + b" " * 20_000 + b"}",
        b"[" * 20_000,
        b'{"instances": ' + b"[" * 20_000,
        b'{"instances": [' + b'{"a": 1},' * 5_000,
        b'{"instances": [' + b'{"a": 1},' * 5_000 + b"]}",
        b" " * 20_000,
    ],
)
def test_odd_bodies_are_refused(body: bytes, bundle: Bundle) -> None:
    with pytest.raises(HTTPError):
        in_pieces(body, bundle)


def test_a_fault_in_a_later_piece_names_its_row(bundle: Bundle, feature_rows: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[:1500]]
    for form in (rows, [list(row.values()) for row in rows]):
        wrong = [*form[:1400], {**rows[0], "temp": "x"}, *form[1401:]]
        with pytest.raises(HTTPError, match=r"instances\[1400\].temp: 'x' is text"):
            in_pieces(json.dumps({"instances": wrong}).encode(), bundle)
    with pytest.raises(HTTPError, match=r"inputs.temp\[1400\]"):
        in_pieces(json.dumps({"inputs": {**table(rows), "temp": [1.0] * 1400 + ["x"] * 100}}).encode(), bundle)
    assert "hour" in bundle.columns.required
    with pytest.raises(HTTPError, match=r"inputs.hour\[1400\]: null, but hour must have a value"):
        in_pieces(json.dumps({"inputs": {**table(rows), "hour": [1.0] * 1400 + [None] * 100}}).encode(), bundle)
    with pytest.raises(HTTPError, match=r"inputs.temp\[3\]: 9007199254740993 cannot be held exactly"):
        in_pieces(json.dumps({"inputs": {**table(rows), "temp": [1.5] * 3 + [2**53 + 1] * 1497}}).encode(), bundle)
    moments: list[dict[str, Any]] = [{"entity": "a", "time": "2014-01-01T00:00:00"}] * 1000
    with pytest.raises(HTTPError, match=r"instances\[999\]: missing field time"):
        in_pieces(json.dumps({"instances": [*moments[:-1], {"entity": "a"}]}).encode(), bundle)
    read_moments = in_pieces(json.dumps({"instances": moments}).encode(), bundle)
    assert [moment.location for moment in read_moments] == [f"instances[{at}]" for at in range(1000)]
    assert all(isinstance(moment, EntityRequest) for moment in read_moments)


def test_long_lists_are_written_in_pieces_alike() -> None:
    for count in (0, 1, 255, 256, 257, 512, 1000):
        document = {"a": list(range(count)), "b": [{"c": f"}},{{{at}"} for at in range(count)], "d": None, "e": "],"}
        assert encode_large(document) == encode(document)


def test_large_requests_of_every_form_are_answered_alike(server: ServerProcess, feature_rows: np.ndarray) -> None:
    rows = [as_row(values) for values in feature_rows[:2000]]
    for model in ("pm25_1h", "air"):
        for verb in ("predict", "explain"):
            path = f"/v1/models/{model}:{verb}"
            field = {"predict": "predictions", "explain": "explanations"}[verb]
            parts = [server.post(path, {"instances": rows[at : at + 5]}).json for at in (0, 900, 1995)]
            for body in (
                {"instances": rows},
                {"instances": [list(row.values()) for row in rows]},
                {"inputs": table(rows)},
            ):
                found = server.post(path, body).json
                assert len(found[field]) == 2000
                assert [found[field][at : at + 5] for at in (0, 900, 1995)] == [part[field] for part in parts]
                assert {key: found[key] for key in found if key.startswith("model_")} == {
                    key: parts[0][key] for key in parts[0] if key.startswith("model_")
                }


def test_values_out_of_range_are_counted_by_feature(server: ServerProcess, feature_rows: np.ndarray) -> None:
    def counted(feature: str) -> float:
        return total(server, "almanac_out_of_range_total", model="pm25_6h", feature=feature)

    before = {name: counted(name) for name in ("temp", "pres", "dewp")}
    rows = [as_row(values) | {"dewp": None} for values in feature_rows[:300]]
    far = [row | {"temp": 1e6} | ({"pres": -1e6} if at % 2 else {}) for at, row in enumerate(rows)]
    warnings = server.post("/v1/models/pm25_6h:predict", {"instances": far}).json["warnings"]
    assert warnings[0].startswith("row 0, temp: beyond the declared range")
    assert [line.partition(":")[0] for line in warnings[1:5]] == [
        "row 1, temp",
        "row 1, pres",
        "row 2, temp",
        "row 3, temp",
    ]
    assert warnings[5] == "445 more values are out of range"
    assert {name: counted(name) - before[name] for name in before} == {"temp": 300, "pres": 150, "dewp": 0}


def test_a_large_request_holds_the_event_loop_for_moments_only(
    bundle: Bundle, feature_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of the event loop takes as long as the request does: a twentieth at most, by processor time."""
    rows = [as_row(values) for values in feature_rows[:5000]]
    for document in (forms(rows)["named"], forms(rows)["ordered"], forms(rows)["table"], forms(rows)["moments"]):
        body = msgspec.json.encode(document)
        longest, whole = timed(monkeypatch, partial(in_pieces, body, bundle))
        assert longest < 0.05 * whole + 0.002


def timed(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> tuple[float, float]:
    """Return the longest step of the event loop while the work is done, and the whole, in seconds of the processor."""
    # Processes beside this one empty the processor's caches: of three rounds, the one that they disturbed least.
    return min(_timed_once(monkeypatch, work) for _ in range(3))


def _timed_once(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> tuple[float, float]:
    steps: list[float] = []
    run = asyncio.events.Handle._run

    def step(handle: asyncio.events.Handle) -> None:
        start = time.thread_time()
        run(handle)
        if threading.current_thread() is threading.main_thread():
            steps.append(time.thread_time() - start)

    # A collection would walk the objects of every test before.
    gc.freeze()
    try:
        start = time.process_time()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.events.Handle, "_run", step)
            work()
        return max(steps), time.process_time() - start
    finally:
        gc.unfreeze()


def test_origins_of_forecasts_are_read_in_pieces_and_bounded(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """`:steps` reads a large body as other routes do, and counts what it would answer before it is read to its end."""
    forecasts = StepForecasts(cast(Service, SimpleNamespace(bounds=Bounds())))

    def read(body: bytes, each: int) -> int:
        return len(asyncio.run(forecasts._read(body, bundle.columns, each)))

    moment = {"entity": "south", "time": "2012-06-30T22:00:00"}
    body = msgspec.json.encode({"instances": [moment] * 10_000})
    longest, whole = timed(monkeypatch, lambda: read(body, 1))
    assert longest < 0.05 * whole + 0.002
    assert read(body, 1) == 10_000
    for data, each, status in (
        (body, 2, 413),
        (b'{"instances":[' + b",".join([b"[1]"] * 1_000_000) + b"]}", 1, 400),
        (b'{"instances":[' + b"[" * 4_000_000, 1, 400),
    ):
        found: list[HTTPError] = []

        def refused(data: bytes = data, each: int = each, found: list[HTTPError] = found) -> None:
            with pytest.raises(HTTPError) as caught:
                read(data, each)
            found.append(caught.value)

        longest, _ = timed(monkeypatch, refused)
        assert int(found[0].status) == status
        assert longest < 0.02
