"""Settings files of the operations room: YAML, read into a model, with errors that name the field and no value."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from almanac.core.errors import AlmanacError
from almanac.core.yaml_text import RepeatedKeyError, parse_yaml
from almanac.usecase.load import explain

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, model: type[Settings], error_class: type[AlmanacError]) -> Settings:
    """Return the settings in a YAML file; its directory is the model's context `folder`, where relative paths begin.

    Args:
        path: the file.
        model: model of the settings.
        error_class: class of the errors.

    Raises:
        AlmanacError: of the class given; the file is missing, is not YAML, or breaks a rule.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise error_class(f"{path}: cannot be read ({reason})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        # Other messages of the parser may repeat a part of the file, and somebody may have written a secret into it.
        reason = error.problem if isinstance(error, RepeatedKeyError) else "is not YAML"
        raise error_class(f"{path}{place}: {reason}") from None
    if not isinstance(document, dict):
        raise error_class(f"{path}: must be a mapping with the fields {', '.join(model.model_fields)}")
    try:
        return model.model_validate(document, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise error_class("\n".join(f"{path}: {line}" for line in explain(error, model, values=False))) from None
