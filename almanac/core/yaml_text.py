"""Reading of YAML texts in which no key is given twice."""

from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError
from yaml.resolver import BaseResolver


class RepeatedKeyError(ConstructorError):
    """A key that is given twice in one mapping."""


# The composer comes first: that of libyaml would overflow the stack on a text of thousands of brackets.
class _Loader(Composer, yaml.CSafeLoader):
    """Scans by libyaml, seven times as fast as Python."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)


class _ExplainingLoader(yaml.SafeLoader):
    """Scans in Python, with errors that show the line."""


# YAML lets the last of two equal keys win, and a repeated section would go unnoticed.
def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    # Looked for in a list: YAML allows a list as a key, and that has no hash.
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise RepeatedKeyError(None, None, f"key {key!r} is given twice", node.value[place][0].start_mark)
    found: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return found


def _timestamp(loader: Any, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError as error:
        raise ConstructorError(None, None, f"{node.value} is no date: {error}", node.start_mark) from None


for _loader in (_Loader, _ExplainingLoader):
    _loader.add_constructor(BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
    _loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        yaml.YAMLError: not YAML, a key given twice, a date that does not exist, or nested too deeply.
    """
    try:
        return _load(text, _Loader)
    except yaml.YAMLError:
        return _load(text, _ExplainingLoader)


def _load(text: str, loader: Any) -> Any:
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both construct plain values
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from None
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
