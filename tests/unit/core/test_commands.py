import pytest

from almanac.core.commands import exit_code_of
from almanac.core.errors import AlmanacError, GateError


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"), [(AlmanacError("no"), 1), (GateError("no"), 3), (OSError("no"), 1), (SystemExit(2), 2)]
)
def test_an_error_is_one_line_with_its_own_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(lambda: _raise(error)) == code
    assert capsys.readouterr().err == ("" if isinstance(error, SystemExit) else "error: no\n")
    assert exit_code_of(lambda: None) == 0
