"""Bounds on the number of objects, not only of bytes, in a request."""

from dataclasses import dataclass

from serving.runtime.errors import beyond


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on a request and its answer.

    Attributes:
        rows: rows of a request: instances, observations or feedback.
        values: values of a JSON body.
        answer: bytes of an answer.
    """

    rows: int = 10_000
    values: int = 1_000_000
    answer: int = 16 << 20

    def check_rows(self, count: int) -> None:
        """Raise an HTTPError (413) for more rows than are allowed."""
        if count > self.rows:
            raise beyond(f"more than {self.rows} rows (--max-rows); send them in several requests")

    def check_values(self, count: int) -> None:
        """Raise an HTTPError (413) for more values than are allowed."""
        if count > self.values:
            raise beyond(f"more than {self.values} values (--max-values); send fewer rows a request")

    def check_answer(self, size: int, rows: int, total: int) -> None:
        """Check the size of a whole answer by that of its first rows.

        Args:
            size: bytes of the answer so far.
            rows: rows that these bytes answer.
            total: rows of the request.

        Raises:
            HTTPError: 413, the whole answer would be above the bound.
        """
        if size * total > self.answer * rows:
            most = max(1, self.answer * rows // size)
            message = f"an answer of about {size * total // rows} bytes is above the limit of {self.answer}"
            raise beyond(f"{message} (--max-answer); send at most {most} rows a request")
