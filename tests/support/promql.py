"""Units of PromQL expressions, inferred from the names of the metrics; for the queries of rules and dashboards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "ratio", "seconds", "bytes", "date", "milliseconds of a date", "a second", "constant"]
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w:])|(?P<name>[a-zA-Z_:][\w:]*)|(?P<matchers>\{[^}]*\})|(?P<range>\[\w+\])"""
    r"""|(?P<sign>==|!=|>=|<=|[-+*/()<>,]))"""
)
_AGGREGATIONS = {"sum", "max", "min", "avg", "topk", "count"}


@dataclass(frozen=True)
class Unit:
    """A unit, with the metrics that it is a rate of."""

    kind: Kind
    of: frozenset[str] = frozenset()


def of_metric(name: str) -> Unit:
    """The unit that a name says by its ending, as Prometheus' conventions have it."""
    base, own = re.sub(r"_(bucket|sum|count|total)$", "", name), frozenset({name})
    if name.endswith("_timestamp_seconds"):
        return Unit("date", own)
    if base.endswith("_seconds") and not name.endswith("_count"):
        return Unit("seconds", own)
    if base.endswith("_bytes"):
        return Unit("bytes", own)
    return Unit("ratio" if base.endswith("_ratio") else "number", own)


class Query:
    """A parser by recursive descent of as much of the language as is used here.

    Args:
        text: the expression.
        recorded: expressions of the recorded series.
    """

    def __init__(self, text: str, recorded: Mapping[str, str]) -> None:
        self._tokens = [(m.lastgroup or "", m.group().strip()) for m in _TOKEN.finditer(text)]
        assert "".join(token for _, token in self._tokens) == re.sub(r"\s+", "", text), text
        self._recorded, self._at, self._text = recorded, 0, text

    def unit(self) -> Unit:
        """The unit of the whole expression."""
        found = self._or()
        assert self._at == len(self._tokens), f"{self._text}: {self._tokens[self._at :]}"
        return found

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *expected: str) -> str:
        kind, token = self._tokens[self._at]
        assert not expected or token in expected or kind in expected, f"{self._text}: {token!r}, expected {expected}"
        self._at += 1
        return token

    def _or(self) -> Unit:
        left = self._comparison()
        while self._next() in ("or", "and", "unless"):
            self._take()
            self._modifiers()
            self._comparison()
        return left

    def _comparison(self) -> Unit:
        left = self._sum()
        while self._next() in ("==", "!=", ">", "<", ">=", "<="):
            self._take()
            self._sum()
        return left

    def _sum(self) -> Unit:
        left = self._product()
        while self._next() in ("+", "-"):
            self._take()
            right = self._product()
            if left.kind == right.kind == "date":
                left = Unit("seconds")
            elif left.kind == "constant":
                left = right
            assert right.kind in (left.kind, "constant", "date"), f"{self._text}: {left} and {right}"
        return left

    def _product(self) -> Unit:
        left = self._value()
        while self._next() in ("*", "/"):
            sign = self._take()
            self._modifiers()
            right = self._value()
            left = _divided(left, right) if sign == "/" else _multiplied(left, right)
        return left

    def _modifiers(self) -> None:
        while self._next() in ("on", "ignoring", "by", "group_left", "group_right"):
            self._take()
            self._take("(")
            while self._next() != ")":
                self._take()
            self._take(")")

    def _value(self) -> Unit:
        kind, token = self._tokens[self._at]
        if token == "(":
            self._take()
            inner = self._or()
            self._take(")")
            return inner
        if kind == "number":
            self._take()
            return Unit("constant", frozenset({token}))
        name = self._take("name")
        self._modifiers()
        if self._next() == "(":
            return self._call(name)
        if self._tokens[self._at : self._at + 1] and self._tokens[self._at][0] == "matchers":
            self._take()
        if self._tokens[self._at : self._at + 1] and self._tokens[self._at][0] == "range":
            self._take()
        return Query(self._recorded[name], self._recorded).unit() if name in self._recorded else of_metric(name)

    def _call(self, name: str) -> Unit:
        self._take("(")
        arguments = []
        while self._next() != ")":
            arguments.append(self._or())
            if self._next() == ",":
                self._take()
        self._take(")")
        self._modifiers()
        if name == "time":
            return Unit("date")
        if name == "rate":
            return Unit("number" if arguments[0].kind == "seconds" else "a second", arguments[0].of)
        if name in {*_AGGREGATIONS, "increase", "histogram_quantile", "vector"}:
            # A quantile of buckets is in the unit that is observed, and not a rate of it.
            last = arguments[-1]
            return of_metric(next(iter(last.of))) if name == "histogram_quantile" else last
        raise AssertionError(f"{self._text}: the unit of {name} is not known")


def _divided(left: Unit, right: Unit) -> Unit:
    if right.kind == "constant":
        return left if left.kind == "ratio" else Unit("number")
    if left.kind == right.kind or {left.kind, right.kind} <= {"number", "ratio"}:
        own = next(iter(left.of)) if left.of else ""
        counted = own.endswith("_total") or (left.kind == "a second" and not own.endswith("_sum"))
        return Unit("ratio") if counted else Unit("number")
    # Seconds in a second, over events in a second.
    assert (left.kind, right.kind) == ("number", "a second"), f"{left} over {right}"
    return Unit("seconds") if all("_seconds" in name for name in left.of) else Unit("number")


def _multiplied(left: Unit, right: Unit) -> Unit:
    pair = {left.kind, right.kind}
    if pair == {"constant", "date"} and "1000" in left.of | right.of:
        return Unit("milliseconds of a date")
    assert "constant" in pair, f"{left} times {right}"
    return left if right.kind == "constant" else right
