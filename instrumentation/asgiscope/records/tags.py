"""Where something was recorded: thread, role, task and asgiref context."""

from typing import Any, NamedTuple

from asgiscope.detection.starvation import ThreadMeter
from asgiscope.semconv import CONTEXT_ID, ON_EVENT_LOOP, TASK_NAME, THREAD_ID, THREAD_NAME, THREAD_ROLE


class RunThread(NamedTuple):
    """A thread that runs calls."""

    ident: int
    name: str
    meter: ThreadMeter | None = None
    """Reads the system's counters of it."""


class Tags(NamedTuple):
    """Where something was recorded: the tags every span carries."""

    thread_id: int
    thread_name: str
    role: str
    on_loop: bool
    task_name: str
    context: int
    """`id()` of the current asgiref `ThreadSensitiveContext`, 0 outside one."""

    def attributes(self) -> dict[str, Any]:
        """Return the tags as attributes of a span."""
        return {
            THREAD_ID: self.thread_id,
            THREAD_NAME: self.thread_name,
            THREAD_ROLE: str(self.role),
            ON_EVENT_LOOP: self.on_loop,
            TASK_NAME: self.task_name,
            CONTEXT_ID: f"{self.context:x}" if self.context else "",
        }
