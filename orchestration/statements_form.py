"""Statements and answers on risk in a use case file: those that are missing, a form to fill in, and their insertion."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from almanac.core.errors import UseCaseError
from almanac.core.files import write_text
from almanac.core.yaml_text import parse_yaml
from almanac.usecase import UseCase, load, load_text
from almanac.usecase.address import UNSTATED
from governance.documents.kinds.risk_assessment.risk import QUESTIONS, unanswered
from governance.documents.statements import unnamed, unstated

_SECTION = re.compile(r"^governance:.*?(?=^[^\s#]|\Z)", re.MULTILINE | re.DOTALL)
_NAMED = {"owner": "the person or team that is responsible", "contact": "an address: e-mail, https://… or tel:…"}


@dataclass(frozen=True)
class Question:
    """A field of the section governance, the content that it needs, and the allowed answers."""

    field: str
    text: str
    allowed: tuple[bool | str, ...] = ()


def questions(usecase: UseCase) -> list[Question]:
    """Return everything that is not stated, in the order of the documents."""
    governance = usecase.governance.model_dump(mode="json")
    return [
        *(Question(name, _NAMED[name]) for name in unnamed(governance)),
        *(Question(f"risk.{key}", text, QUESTIONS[key][1]) for key, text in unanswered(governance["risk"]).items()),
        *(Question(f"statements.{key}", text) for key, text in unstated(governance).items()),
    ]


def form(path: Path, usecase: UseCase) -> str:
    """Return a form with everything that is not stated, as a YAML text."""
    return "\n".join(_form(path, usecase)) + "\n"


def _form(path: Path, usecase: UseCase) -> Iterator[str]:
    yield f"# Fill in and then: almanac statements {path} --from THIS_FILE. A line left as it is stays open."
    asked = questions(usecase)
    for section in ("", "risk", "statements"):
        own = [each for each in asked if each.field.rpartition(".")[0] == section]
        if section and own:
            yield f"{section}:"
        for each in own:
            name = each.field.rpartition(".")[2]
            if section == "statements":
                yield f"  # It has to say {each.text}."
                yield f'  {name}: {{text: "", author: "", date: {date.today()}}}'
            elif section == "risk":
                yield f"  # {each.text} One of {', '.join(str(one).lower() for one in each.allowed)}."
                yield f"  {name}: {UNSTATED}"
            else:
                yield f"{name}: {UNSTATED}  # {each.text}"


def read_form(path: Path) -> dict[str, Any]:
    """Return the answers of a form that are filled in, by field.

    Raises:
        UseCaseError: the form cannot be read, or is none.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UseCaseError(f"{path}: cannot be read as a form ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise UseCaseError(f"{path}: is no form; `almanac statements FILE --form {path}` writes one")
    return dict(_filled(content))


def _filled(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if name in ("risk", "statements") and isinstance(value, dict):
            yield from ((f"{name}.{key}", each) for key, each in value.items() if _is_filled(each))
        elif _is_filled(value):
            yield name, value


def _is_filled(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(str(value.get("text") or "").strip())
    return value is not None and value != UNSTATED


def insert(path: Path, answers: Mapping[str, Any]) -> UseCase:
    """Write answers, by field, into the section governance of the file at `path`, and return its use case.

    The rest of the file stays as it is, comments included.

    Raises:
        UseCaseError: an answer breaks a rule; the file is as it was.
    """
    text = path.read_text(encoding="utf-8")
    given = parse_yaml(text).get("governance") or {}
    for field, value in answers.items():
        section, _, name = field.rpartition(".")
        (given.setdefault(section, {}) if section else given)[name] = value
    block = yaml.safe_dump({"governance": given}, sort_keys=False, allow_unicode=True, width=110)
    found = _SECTION.search(text)
    changed = f"{text[: found.start()]}{block}\n{text[found.end() :]}" if found else f"{text.rstrip()}\n\n{block}"
    usecase = load_text(changed.rstrip() + "\n", str(path))
    write_text(path, changed.rstrip() + "\n")
    return usecase


def missing(path: Path) -> list[Question]:
    """Return everything that the file at `path` does not state."""
    return questions(load(path))
