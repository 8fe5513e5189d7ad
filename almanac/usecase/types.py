"""The parts that all sections of a use case file share: strictness, durations, names and unions of kinds."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError, core_schema

from almanac.core.errors import ExtensionError
from almanac.core.kinds import Kinds
from almanac.usecase.descriptions import descriptions

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

_DURATION = re.compile(r"(\d+)(min|h|d)")
# Months and years are left out: they have no fixed length.
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Section(BaseModel):
    """A section of the use case file: unknown fields are errors, values are never coerced or changed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        # Components receive a use case as JSON, which has neither.
        allow_inf_nan=False,
        # Unions of kinds are complete only once the modules of the kinds can be imported; see `union_of`.
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: core_schema.CoreSchema, handler: "GetJsonSchemaHandler") -> Any:
        """Return the section's JSON schema with the texts below its fields."""
        written = handler(core)
        properties = handler.resolve_ref_schema(written)["properties"]
        for name in descriptions(cls).keys() & properties.keys():
            properties[name]["description"] = descriptions(cls)[name]
        return written


def absent(default: Any) -> Any:
    """Return the annotation of a field that a dump leaves out at its default."""
    return Field(exclude_if=lambda value: value == default)


@dataclass(frozen=True)
class KindUnion:
    """Pydantic annotation of a union of the declarations of all registered kinds that have one."""

    kinds: Kinds[Any]
    field: str

    def declarations(self) -> dict[str, type[Section]]:
        """Return the declaration of each kind by the kind's name.

        Raises:
            ExtensionError: the discriminating field of a declaration is not `Literal[name]`.
        """
        declared = {name: kind.declaration for name, kind in self.kinds.items() if kind.declaration is not None}
        for name, section in declared.items():
            if get_args(section.model_fields[self.field].annotation) != (name,):
                raise ExtensionError(
                    f"{self.kinds.family} {name!r}: expected the field {self.field!r} of {section.__qualname__} "
                    f"to be Literal[{name!r}]"
                )
        return declared

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> core_schema.CoreSchema:
        """Build the union; an unknown kind gets the error type `unknown_kind`."""
        context: Any = {"kinds": self.kinds, "field": self.field}
        return core_schema.tagged_union_schema(
            {name: handler.generate_schema(section) for name, section in self.declarations().items()},
            discriminator=self.field,
            # Pydantic's own error names the known kinds, and not the extension that may have to be installed.
            custom_error_type="unknown_kind",
            custom_error_message="unknown kind",
            custom_error_context=context,
        )


@dataclass(frozen=True)
class _KindName:
    kinds: Kinds[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.kinds))


def name_of(kinds: Kinds[Any]) -> Any:
    """Return the type of a text that names one of the registered kinds."""
    return Annotated[str, _KindName(kinds)]


def union_of(kinds: Kinds[Any], field: str = "kind") -> Any:
    """Return the type of a section that is declared by one of the registered kinds, named in `field`.

    The registry is read with the first use case and not on import, because the modules of the kinds import this
    package. A type checker sees the base class instead:

        SOURCES = Kinds("source", "almanac.data.sources", "almanac.sources")

        if TYPE_CHECKING:
            Source = SourceBase
        else:
            Source = union_of(SOURCES, "type")
    """
    return Annotated[Any, KindUnion(kinds, field)]


def to_timedelta(duration: str) -> timedelta:
    """Return a duration such as 30min, 6h or 7d as a timedelta."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(
            f"{duration!r} is not a duration; write a whole number and min, h or d, such as 30min, 6h or 7d"
        )
    return int(match[1]) * _UNITS[match[2]]


def to_duration(span: timedelta) -> str:
    """Return a span of whole minutes as a use case writes it, in the largest unit that it is a whole number of."""
    unit = next(unit for unit in ("d", "h", "min") if unit == "min" or not span % _UNITS[unit])
    return f"{span // _UNITS[unit]}{unit}"


def to_microseconds(duration: str) -> int:
    """Return a duration in whole microseconds."""
    return to_timedelta(duration) // timedelta(microseconds=1)


def to_utc(text: str) -> datetime:
    """Return an ISO 8601 time, or the day that a date begins, in naive UTC.

    Raises:
        ValueError: it is neither.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def steps(duration: str, frequency: str) -> int:
    """Return how many grid steps of `frequency` make up `duration`.

    Raises:
        ValueError: the duration is not a whole number of steps.
    """
    whole, rest = divmod(to_timedelta(duration), to_timedelta(frequency))
    if rest:
        raise ValueError(f"{duration} is not a whole number of steps of {frequency}")
    return whole


def _check_duration(duration: str) -> str:
    to_timedelta(duration)
    return duration


def _refuse_number(value: Any) -> Any:
    # A number has no unit, and the type's own error would name none.
    if isinstance(value, int | float):
        raise ValueError("is not a duration; write a whole number and min, h or d, such as 30min, 6h or 7d")
    return value


def _check_length(duration: str) -> str:
    if not to_timedelta(duration):
        raise ValueError(f"{duration!r} has no length; write one such as 1h")
    return duration


def holds_password(address: str) -> bool:
    """Return whether an address has a password, before its host or among the parameters after it."""
    parts = urlsplit(address)
    return parts.password is not None or any(name.endswith("password") for name, _ in parse_qsl(parts.query))


def _check_no_password(address: str) -> str:
    if holds_password(address):
        # A type of its own, by which an error message leaves the value out.
        raise PydanticCustomError(
            "password", "an address in this file holds no password; name an environment variable or a login file"
        )
    return address


def _read_date(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no date; write it as ISO 8601 does, such as 2026-11-21") from None


#: A day; YAML reads 2026-11-21 as one, and "2026-11-21" as a text that means the same.
Date = Annotated[date, BeforeValidator(_read_date)]

#: An address without a password.
Address = Annotated[str, AfterValidator(_check_no_password)]

#: A length of time: a whole number and a unit, such as 30min, 6h or 7d.
Duration = Annotated[
    str, BeforeValidator(_refuse_number), AfterValidator(_check_duration), Field(examples=["30min", "6h", "7d"])
]

#: A length of time that is longer than nothing.
Length = Annotated[Duration, AfterValidator(_check_length)]

#: A name that can be a column, a feature, a file and a Kubernetes label: lower case, digits and underscores.
#: 63 characters are the most that a Kubernetes label has.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

#: A sha256 in hexadecimal.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
