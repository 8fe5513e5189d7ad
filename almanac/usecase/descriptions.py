"""Descriptions of the fields of sections: the text below each, for the JSON schema."""

import ast
import inspect
import sys
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
    return _classes(section.__module__).get(section.__name__, [])


@cache
def _classes(module: str) -> dict[str, list[ast.stmt]]:
    """Return name -> statements of the classes of a module, which `inspect` would read anew for each of them."""
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return {}
    return {node.name: node.body for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}
