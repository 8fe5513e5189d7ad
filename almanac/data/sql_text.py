"""Names and texts in SQL expressions."""


def identifier(column: str) -> str:
    """Return a column's name as an SQL expression writes it."""
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL expression writes it."""
    return "'" + text.replace("'", "''") + "'"
