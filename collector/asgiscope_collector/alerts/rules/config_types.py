"""Types of the rules file: durations, shares and secrets. A secret is read when it is used, and never kept."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS: Final = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION: Final = r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"
_SHARE: Final = r"^\d+(\.\d+)?%$"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_MAX: Final = 4096


class SecretError(ValueError):
    """A secret cannot be read: its variable is not set or its file not readable. The message has no secret."""


def _duration(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value):
        raise ValueError("write a duration with its unit, as 500ms, 30s, 5m, 4h or 1d")
    try:
        return round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    except OverflowError:
        raise ValueError("no duration is so long") from None


def spell_duration(nanoseconds: int) -> str:
    """Format a duration as in the rules file: `1h30m`, `500ms`."""
    if not nanoseconds:
        return "0s"
    parts, rest = [], nanoseconds
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(spell_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": _DURATION}, {"const": 0}],
            "description": "a number and its unit: 500ms, 30s, 5m, 4h, 1d",
        }
    ),
]
"""Nanoseconds."""


def _share(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(_SHARE, value):
        value = float(value[:-1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("write a share as 5% or 0.05")
    return float(value)


Share = Annotated[
    float,
    BeforeValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _SHARE},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "description": "5% or 0.05",
        }
    ),
]


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[str],
    BeforeValidator(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One name or a list of them; in a scope, `*` matches any characters."""


def variables(text: str) -> list[str]:
    """Return the names of the environment variables in a text, written as `${NAME}`."""
    return _VARIABLE.findall(text)


def expand(text: str) -> str:
    """Replace `${NAME}` in a text with environment variables.

    Raises:
        SecretError: one of them is not set.
    """

    def read(found: re.Match[str]) -> str:
        value = os.environ.get(found[1])
        if not value:
            raise SecretError(f"the environment variable {found[1]} is not set")
        return value

    return _VARIABLE.sub(read, text)


def read_secret(text: str, file: Path | None) -> str:
    """Return a secret from `${NAME}` or from a file, without surrounding white space. Reads the disk.

    Raises:
        SecretError: the variable is not set, or the file cannot be read or is empty.
    """
    if file is None:
        return expand(text)
    try:
        with file.open(encoding="utf-8") as opened:
            value = opened.read(_SECRET_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not value:
        raise SecretError(f"{file} is empty")
    return value


def secret_pair(model: Any, name: str, *, required: bool = True, plain: bool = False) -> None:
    """Check that a model has a secret once: `{name}: ${NAME}` or `{name}_file: path`.

    Raises:
        ValueError: neither or both are set, or the file contains the secret itself.
    """
    text, file = getattr(model, name), getattr(model, f"{name}_file")
    if text and file:
        raise ValueError(f"give {name} or {name}_file, not both")
    if required and not text and file is None:
        raise ValueError(f"{name} is missing: write {name}: ${{VARIABLE}} or {name}_file: /path")
    if text and not plain and not _VARIABLE.fullmatch(text):
        raise ValueError(
            f"{name} is a secret: write ${{VARIABLE}} for the environment's, or {name}_file: /path"
        )
