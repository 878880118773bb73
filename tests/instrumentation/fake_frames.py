"""Stacks that a test makes up: objects with the attributes that asgiscope reads of a frame."""

import os
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

STDLIB = os.__file__.rpartition("/")[0]
PACKAGES = "/srv/env/lib/python3/site-packages"


@dataclass(eq=False)
class FakeFrame:
    """A frame at one line of a function."""

    f_code: CodeType
    f_lasti: int = 2  # behind the instruction that every code begins with
    f_back: "FakeFrame | None" = None
    f_locals: dict[str, Any] = field(default_factory=dict)
    f_globals: dict[str, Any] = field(default_factory=dict)


_code: dict[tuple[str, str, int], CodeType] = {}


def code_at(file: str, qualname: str, line: int) -> CodeType:
    """Return the code of a function: the same object for the same function, as in a process."""
    known = _code.get((file, qualname, line))
    if known is None:
        made = compile("0", file, "eval")
        known = made.replace(co_name=qualname.rpartition(".")[2], co_qualname=qualname, co_firstlineno=line)
        _code[file, qualname, line] = known
    return known


def stack(*innermost_first: tuple[str, str, int] | tuple[str, str, int, dict[str, Any]]) -> Any:
    """Return a stack of (file, function, line[, locals]): its innermost frame."""
    frame: FakeFrame | None = None
    for file, qualname, line, *rest in reversed(innermost_first):
        frame = FakeFrame(code_at(file, qualname, line), f_back=frame, f_locals=dict(*rest))
    return frame
