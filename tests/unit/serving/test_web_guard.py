"""What a web page could change is guarded, whichever operation is added."""

import pytest

from serving.protocol.routes import DESCRIPTIONS
from serving.runtime.errors import HTTPError
from serving.runtime.http import Request
from serving.transport.web_guard import CHANGES, WebGuard

#: Operations that only read, although they are asked by POST.
READS = {"predict", "explain", "infer", "steps", "index"}


def test_every_operation_reads_or_is_guarded() -> None:
    posts = {one.verb for one in DESCRIPTIONS if one.method == "POST"}
    assert posts == READS | CHANGES


@pytest.mark.parametrize("verb", sorted(CHANGES))
def test_a_page_under_a_foreign_name_changes_nothing(verb: str) -> None:
    guard, headers = WebGuard(hosts=("localhost",)), {b"content-type": b"application/json", b"host": b"rebound.example"}
    with pytest.raises(HTTPError, match="not called"):
        guard.check(Request("POST", "/", headers, "client", verb=verb))
    guard.check(Request("POST", "/", headers | {b"host": b"localhost:8080"}, "client", verb=verb))
