"""The V1 answer for one row of one target: a template that is made once, into which the row's outputs are written."""

from itertools import groupby
from operator import attrgetter

from almanac.model.model import Model
from almanac.model.prediction import Output, Row
from serving.protocol.message import encode
from serving.runtime.http import Reply


class RowAnswer:
    """Writes the answers for single rows, the same as `serving.protocol.v1.predictions` does.

    Args:
        model: the model of the target.
        names: what every answer says of the model, as a JSON object.

    Attributes:
        model: as given.
    """

    def __init__(self, model: Model, names: bytes) -> None:
        outputs = model.outputs
        self.model = model
        self._values = attrgetter(*(output.attribute for output in outputs))
        self._several = len(outputs) > 1
        self._columns = b"{%b," % b",".join(
            b'"%b":[%b]' % (column.encode(), _place(list(shared))) for column, shared in groupby(outputs, _column)
        )
        self._end = names[1:]

    def reply(self, row: Row, warnings: list[str]) -> Reply:
        """Return the answer for a row with its warnings."""
        values = self._values(row)
        columns = self._columns % (tuple(map(encode, values)) if self._several else encode(values))
        if not warnings:
            return Reply(columns + self._end)
        return Reply(b"%b%b,%b" % (columns, self._end[:-1], encode({"warnings": warnings})[1:]))


def _column(output: Output) -> str:
    return output.column


def _place(outputs: list[Output]) -> bytes:
    """Return where the outputs of a column are written; those that share one are the fields of an object."""
    if not outputs[0].shared:
        return b"%b"
    return b"{%b}" % b",".join(b'"%b":%%b' % output.name.encode() for output in outputs)
