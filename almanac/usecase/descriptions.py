"""Descriptions of the fields of sections: the text below each, for the JSON schema."""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise


@cache
def descriptions(section: type) -> dict[str, str]:
    """Return field -> text below it in the source of a class or of one that it derives from.

    Pydantic finds the same texts when a class is made, which takes a quarter of the start of each process.
    """
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        for field, text in pairwise(_body(each)):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(told))):
                    found[name] = inspect.cleandoc(told)
    return found


def _body(section: type) -> list[ast.stmt]:
    """Return the statements of a class; none of one whose source is not at hand."""
    try:
        source = inspect.getsource(section)
    except (OSError, TypeError):
        return []
    [made] = ast.parse(textwrap.dedent(source)).body
    return made.body if isinstance(made, ast.ClassDef) else []
