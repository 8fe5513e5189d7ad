"""Rows by name become the same matrix whether they have nulls or not, and by compiled code as by msgspec."""

import json
import math
import random
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from almanac.core.levels import OTHER
from almanac.model.columns import Columns
from serving.protocol.row_decoder import RowDecoder

NAMES = ("temp", "wind", "pres", "a name/of 3", "größe")
FREE = np.full(5, math.inf)
COLUMNS = Columns(NAMES, {"wind": ("NW", "cv", 'a "b"')}, -FREE, FREE, frozenset({"pres"}))
NUMBERS = (
    "0", "-0", "-0.0", "0.0", "1", "-7", "42.5", "1e5", "1E+5", "-1e-5", "0.1", "0.30000000000000004", "1.7976931e-308",
    "5e-324", "2.2250738585072011e-308", "4.35", "1e22", "1e-22", "1e23", "9007199254740991", "9007199254740992",
    "9007199254740993", "-9007199254740992", "6.123233995736766e-17", "0.9659258262890683", "123456789012345678.9e-3",
    "0.00000000000000000000000012345678901234567", "1.00000000000000000000000000000000001", "1e400", "-1e400", "1e-400",
    "0.500000000000000166533453693773481063544750213623046875", "9007199254740992.5", "1844674407370955161.5e-3",
    "18446744073709551615e-5", "18446744073709551616e-5", "99999999999999999999", "01", "1.", ".5", "+1", "1e", "-",
    "1e+", "--1", "0x10", "NaN", "Infinity", "-Infinity", "1_000", "1,5", "0e0", "-0e0", "0e999", "1e5.5", "nul",
)  # fmt: skip


class Readers:
    """The decoder of some columns, with compiled code and without."""

    def __init__(self, columns: Columns) -> None:
        self.compiled, self.plain = RowDecoder(columns), RowDecoder(columns)
        assert self.compiled._compiled is not None
        self.plain._compiled = None

    def both(self, body: bytes | bytearray, part: bool = False) -> tuple[bytes | None, bytes | None]:
        """Return the bits that each reads, None for a body that is refused."""
        return _bits(self.compiled, body, part), _bits(self.plain, body, part)


def _bits(decoder: RowDecoder, body: bytes | bytearray, part: bool) -> bytes | None:
    try:
        X = decoder.part(body) if part else decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return repr(X.shape).encode() + np.where(np.isnan(X), math.nan, X).tobytes()


@pytest.fixture(scope="module")
def readers() -> Readers:
    return Readers(COLUMNS)


def test_a_matrix_has_the_rows_in_the_order_of_the_features() -> None:
    free = np.full(3, math.inf)
    columns = Columns(NAMES[:3], {"wind": ("NW", "cv")}, -free, free, frozenset())
    rows = [
        {"wind": "cv", "temp": -4, "pres": 1021.3},
        {"pres": None, "wind": None, "temp": 0.1},
        {"temp": 5e-324, "wind": 0, "pres": 2.0**52},
    ]
    data = json.dumps({"instances": rows}).encode()
    expected = [[-4.0, 1.0, 1021.3], [0.1, math.nan, math.nan], [5e-324, 0.0, 2.0**52]]
    for decoder in (Readers(columns).compiled, Readers(columns).plain):
        X = decoder.decode(data)
        assert X.dtype == np.float64
        assert X.flags.writeable
        np.testing.assert_array_equal(X, expected)


def test_compiled_code_reads_the_usual_form_by_itself(readers: Readers) -> None:
    rows = [{"temp": at / 7, "wind": "NW", "pres": 1e3, NAMES[3]: None, NAMES[4]: -at} for at in range(500)]
    for ascii_only in (False, True):
        body = json.dumps({"instances": rows}, ensure_ascii=ascii_only, indent=1).encode()
        read = readers.compiled._compiled.read(body)  # type: ignore[union-attr]
        # With escapes for what is not ASCII it leaves the body to msgspec.
        assert (read is None) == ascii_only
        mine, theirs = readers.both(body)
        assert mine == theirs
        assert mine is not None


def test_a_single_row_is_read_without_a_copy(readers: Readers) -> None:
    row = dict(zip(NAMES, (0.1, "cv", 2, None, -1e-7), strict=True))
    for count in (0, 1, 2):
        body = json.dumps({"instances": [row] * count}, ensure_ascii=False).encode()
        read = readers.compiled.row(body)
        assert (read is not None) == (count == 1)
        if read is not None:
            np.testing.assert_array_equal(read, readers.plain.decode(body)[0])
    assert readers.compiled.row(b'{"instances":[{"temp":1}]}') is None
    assert readers.plain.row(body) is None


def test_each_of_thousands_of_categories_is_read_by_its_name() -> None:
    free = np.full(2, math.inf)
    levels = tuple(f"{text}{at}" for at in range(700) for text in ("", "ä", "a b", '"', "\\"))
    readers = Readers(Columns(("city", "x"), {"city": levels}, -free, free, frozenset()))
    body = json.dumps({"instances": [{"city": level, "x": 0} for level in levels]}, ensure_ascii=False).encode()
    mine = readers.compiled._compiled.read(body)  # type: ignore[union-attr]
    assert mine is not None
    np.testing.assert_array_equal(mine[:, 0], np.arange(len(levels)))
    for unknown in ("", "7", "70000", "ä7000", "\\", "a"):
        mine, theirs = readers.both(_body(json.dumps({"city": unknown, "x": 0}, ensure_ascii=False)))
        assert (mine is None) == (unknown not in levels)
        assert mine == theirs


def _written(number: str, column: str) -> bytes:
    rest = dict(zip(NAMES, "10234", strict=True))
    fields = (f'"{name}":{number if name == column else value}' for name, value in rest.items())
    return _body("{" + ",".join(fields) + "}")


def _body(*rows: str) -> bytes:
    return f'{{"instances":[{",".join(rows)}]}}'.encode()


@pytest.mark.parametrize("column", ["temp", "wind", "größe"])
def test_numbers_have_the_same_bits_or_are_refused(readers: Readers, column: str) -> None:
    for number in NUMBERS:
        mine, theirs = readers.both(_written(number, column))
        assert mine == theirs, number


def _random_numbers(random: random.Random) -> Iterator[str]:
    for _ in range(10_000):
        digits = random.randint(1, 24)
        text = str(random.randrange(10**digits))
        point = random.randint(0, len(text))
        text = (text[:point].lstrip("0") or "0") + ("." + text[point:] if point < len(text) else "")
        yield "-" * random.randint(0, 1) + text + random.choice(["", "", "", f"e{random.randint(-40, 18)}"])
        yield repr(random.gauss(0, 1) * 10.0 ** random.randint(-12, 12))
        # Half-way between two neighbours: where rounding is decided by the last digit.
        half = random.randrange(2**53, 2**54) | 1
        yield f"{half * 5}e-{random.randint(2, 9)}"


def test_numbers_at_random_have_the_same_bits() -> None:
    free = np.full(1, math.inf)
    readers, numbers = Readers(Columns(("x",), {}, -free, free, frozenset())), list(_random_numbers(random.Random(7)))
    for at in range(0, len(numbers), 100):
        rows = [f'{{"x":{number}}}' for number in numbers[at : at + 100]]
        # Together a number that is refused would hide the others.
        for row in rows if _differ(readers, *rows) or readers.both(_body(*rows))[0] is None else []:
            assert not _differ(readers, row), row


def _differ(readers: Readers, *rows: str) -> bool:
    mine, theirs = readers.both(_body(*rows))
    return mine != theirs


def _mutated(body: bytes, random: random.Random) -> bytes:
    data = bytearray(body or b" ")
    for _ in range(random.randint(1, 3)):
        at = random.randrange(max(1, len(data)))
        match random.randrange(4):
            case 0 if data:
                data[at] = random.randrange(256)
            case 1:
                del data[at : at + random.randint(1, 9)]
            case 2:
                data[at:at] = random.choice([b"0", b'"', b",", b"}", b"]", b" ", b"{", b"null", b"\x00", b"\\", b"e9"])
            case _:
                data = data[:at] if random.random() < 0.3 else data + data[at:]
    return bytes(data)


def test_damaged_bodies_are_read_as_by_msgspec_or_refused(readers: Readers) -> None:
    source = random.Random(11)
    rows = [{"temp": 0.125, "wind": 'a "b"', "pres": 3, NAMES[3]: None, "größe": -1e-7}] * 3
    bodies = [json.dumps({"instances": rows}, ensure_ascii=False).encode()] * 3
    bodies += [json.dumps({"instances": [dict(reversed(row.items())) for row in rows]}, ensure_ascii=False).encode()]
    for at in range(8_000):
        body = _mutated(bodies[at % 4], source)
        mine, theirs = readers.both(body)
        # Where a row names a column twice, msgspec decides for both.
        assert mine == theirs, body
        list_only = body.partition(b": ")[2][:-1]
        mine, theirs = readers.both(list_only, part=True)
        assert mine == theirs, list_only


def test_unknown_texts_of_an_open_category_are_left_to_msgspec() -> None:
    free = np.full(2, math.inf)
    readers = Readers(Columns(("kind", "x"), {"kind": ("a", OTHER)}, -free, free, frozenset()))
    body = bytearray(b'{"instances":[{"kind":"anything","x":1},{"kind":"a","x":2}]}')
    mine, theirs = readers.both(body)
    assert mine == theirs
    np.testing.assert_array_equal(readers.compiled.decode(body), [[1.0, 1.0], [0.0, 2.0]])
