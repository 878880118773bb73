"""A trace as lanes: the thread and the row of each span.

Times are ns from `Timeline.origin_ns`, so that a JavaScript number represents them exactly. Spans are
identified by their index in the trace's response: first `spans`, then `linked_spans`.

Types with tens of thousands of instances are dataclasses: a model takes three times as long to create and to
collect.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field


@dataclass(slots=True)
class Bar:
    """A span in its row: it waits from `start_ns`, and then runs. Only bridge calls wait.

    Of a linked span, only the run that held the thread is included; its own wait does not concern this trace.
    """

    span: Annotated[int, Field(description="index in `spans`, or `len(spans)` + index in `linked_spans`")]
    row: Annotated[int, Field(description="0 on top; no two bars of a row are there at the same time")]
    start_ns: int
    wait_ns: int
    run_ns: int


@dataclass(slots=True)
class Stretch:
    """A period of a lane that is not in any row."""

    span: int
    start_ns: int
    duration_ns: int


class Lane(BaseModel):
    """A thread of a process, with what ran on it and what waited for it."""

    process: str = Field(description="service and instance: `shop/7f3a`")
    role: str = Field(description="a thread role; '' where the spans do not say")
    thread: str = Field(description="the thread's name; '' if it is not known")
    queue: str = Field(description="the executor of calls that no thread is known to have taken; else ''")
    rows: int
    bars: list[Bar] = Field(description="by start; a span stands below the one it happened in")
    stalls: list[Stretch] = Field(description="in which nothing else could run on the lane's event loop")
    resumes: list[Stretch] = Field(
        description="in which calls had returned and waited for the lane's event loop"
    )


@dataclass(slots=True)
class Wait:
    """A bridge call that waited for another one: the part of its wait in which that one held the thread."""

    waiter: Annotated[int, Field(description="index of the span, as in `Bar`")]
    holder: int
    start_ns: int
    duration_ns: int
    overlap_ns: Annotated[
        int, Field(description="as the process measured it; clocks of two processes may differ")
    ]


class Timeline(BaseModel):
    """The lanes of a trace, from the top of a page down."""

    origin_ns: int = Field(description="when the first span started, since the epoch")
    duration_ns: int = Field(description="until the last one ended; linked_spans may lie outside")
    lanes: list[Lane] = Field(
        description="those of the root's process first; event loops before other threads"
    )
    waits: list[Wait] = Field(description="whose holder is in this answer, the longest first; at most 20,000")
