"""The model server's container on a real socket."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from almanac.model.model import load_model
from tests.containers.engine import ServerContainer, docker, inspect
from tests.support.server import as_row

PREDICT = "/v1/models/pm25_1h:predict"


@pytest.fixture
def container(serving_image: str, served_model: Path) -> Iterator[ServerContainer]:
    container = ServerContainer(serving_image, served_model, "--drain-seconds", "2", "--auth", "off")
    try:
        yield container.wait()
    finally:
        container.stop()


def test_it_answers_as_the_model_does_under_limits_and_as_nobody(
    container: ServerContainer, served_model: Path, feature_rows: np.ndarray
) -> None:
    rows = feature_rows[:50]
    answer = container.post(PREDICT, {"instances": [as_row(values) for values in rows]})
    assert answer.status == 200, answer.body
    predicted = [one["prediction"] if isinstance(one, dict) else one for one in answer.json["predictions"]]
    np.testing.assert_allclose(
        predicted, load_model(served_model / "pm25_1h").predict(rows).prediction, rtol=0, atol=1e-9
    )
    assert container.get("/v2/models/pm25_1h").json["name"] == "pm25_1h"

    host = inspect(container.name)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["Memory"], host["NanoCpus"]) == (True, 512 * 2**20, 10**9)
    assert docker("exec", container.name, "id", "-u") == "65532"
    with pytest.raises(AssertionError, match="Read-only file system"):
        docker("exec", container.name, "python", "-c", "open('/app/x', 'w')")


def test_sigterm_drains_without_dropping_a_request(container: ServerContainer, feature_rows: np.ndarray) -> None:
    body = {"instances": [as_row(feature_rows[0])]}
    large = {"instances": [as_row(values) for values in feature_rows[:4000]]}
    statuses: list[int] = []
    failures: list[str] = []
    stop = threading.Event()

    def ask(what: dict[str, object]) -> None:
        while not stop.is_set():
            try:
                statuses.append(container.post(PREDICT, what).status)
            except OSError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=ask, args=(one,)) for one in (body, body, large)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before = len(statuses)
    container.terminate()
    time.sleep(1.0)
    during = container.get("/v2/health/ready").status
    stop.set()
    for thread in threads:
        thread.join()
    assert container.exit_code() == 0
    assert failures == []
    assert set(statuses) == {200}
    assert len(statuses) > before > 0
    assert during == 503
