"""Keys, links and sessions of the console."""

from pathlib import Path

import pytest

from almanac.core.errors import ConsoleError
from operations.console.keys import Links, add_key, read_keys
from operations.console.roles import User
from operations.console.sessions import IDLE_SECONDS, LIFE_SECONDS, Sessions


def test_a_link_works_once_and_not_for_ever() -> None:
    now = [0.0]
    links = Links(lambda: now[0])
    token = links.issue("olga", "admin")
    assert links.user("x") is None
    assert links.user(token) == User("olga", "admin", "link")
    assert links.user(token) is None
    token = links.issue("olga", "admin")
    now[0] = 901
    assert links.user(token) is None


def test_sessions_end_by_themselves() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    key = sessions.begin(User("olga", "viewer", "key"))
    assert sessions.find("") is None
    for _ in range(int(LIFE_SECONDS // (IDLE_SECONDS - 1))):
        now[0] += IDLE_SECONDS - 1
        assert sessions.find(key)
    now[0] = LIFE_SECONDS
    assert sessions.find(key) is None
    key = sessions.begin(User("olga", "viewer", "key"))
    now[0] += IDLE_SECONDS
    assert sessions.find(key) is None


def test_keys_are_kept_as_digests(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = add_key(path, "olga", "viewer")
    second = add_key(path, "Olga", "admin")
    (key,) = read_keys(path)
    assert (key.name, key.role) == ("Olga", "admin")
    assert first not in path.read_text()
    assert second not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a file of console keys"),
        ('{"keys": [{"name": "a"}]}', "not a file of console keys"),
        ('{"keys": [{"name": "a", "role": "root", "sha256": "x"}]}', "role is 'root'; expected viewer"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ConsoleError, match=message):
        read_keys(path)
