"""Secrets of channels: named in the settings by an environment variable or a file, and read when they are needed."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from almanac.core.errors import NotificationError
from almanac.usecase.types import Section

_HIDDEN = "***"


class _Place(Section):
    """Place of a secret."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of an environment variable."""
    file: Path | None = None
    """Path of a file that holds nothing else."""

    @model_validator(mode="after")
    def _one(self) -> "_Place":
        if (self.env is None) == (self.file is None):
            raise ValueError("should be {env: NAME} or {file: PATH}")
        return self

    def read(self) -> str:
        """Return the secret.

        Raises:
            NotificationError: it is missing or empty; its place is named.
        """
        if self.env is not None:
            text = os.environ.get(self.env, "").strip()
            place = f"the environment variable {self.env}"
        else:
            place = str(self.file)
            try:
                text = Path(place).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8"
                raise NotificationError(f"{place}: the secret cannot be read ({reason})") from None
        if not text:
            raise NotificationError(f"{place} is empty; write the secret to it")
        return text


def _only_a_place(value: Any, info: ValidationInfo) -> Any:
    # The value is left out of the message: somebody may have written the secret itself.
    if not isinstance(value, dict) or not set(value) <= {"env", "file"}:
        raise PydanticCustomError(
            "password", "should be {env: NAME} or {file: PATH}; a secret is not written into the settings"
        )
    if any(not isinstance(part, str) or len(part) > 400 or "\n" in part for part in value.values()):
        raise PydanticCustomError("password", "should be the name of a variable or the path of a file")
    if "env" in value and not value["env"].isidentifier():
        raise PydanticCustomError("password", "env should be the name of an environment variable")
    if "file" in value:
        return {**value, "file": (info.context or {}).get("folder", Path()) / value["file"]}
    return value


Secret = Annotated[_Place, BeforeValidator(_only_a_place)]


def without(text: str, *secrets: str) -> str:
    """Return a text in which secrets are hidden, for answers of servers that may repeat them."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    return text
