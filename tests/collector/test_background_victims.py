"""Messages of consumers and background tasks as victims of findings: counted apart from requests."""

from typing import Any

from asgiscope import semconv as sc

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender


def test_messages_and_tasks_are_counted_apart_from_requests(running: Running, sender: Sender) -> None:
    """In figures and in words; what has not ended counts for nothing, and another environment has its own."""
    holder = sender.request("GET", "/report/")

    def wait(messages: int, tasks: int, **more: Any) -> None:
        background = {
            sc.FINDING_MESSAGES: messages,
            sc.FINDING_TASKS: tasks,
            sc.FINDING_BACKGROUND_NS: 40 * MS,
            **more,
        }
        sender.bridge_call(
            None,
            "load",
            wait_ns=50 * MS,
            victims=0,
            victims_ns=0,
            held_by=[(holder, 50 * MS, "export")],
            attributes=background,
        )

    wait(2, 0)
    wait(0, 1)
    wait(1, 0, **{sc.ONGOING: True})
    sender.bridge_call(holder, "load", wait_ns=50 * MS, held_by=[(holder, 50 * MS, "export")])
    running.send(sender)
    (found,) = running.get("/api/findings", service=sender.service)["findings"]
    assert found["victims"] == {
        "requests": 1,
        "total_ns": 50 * MS,
        "messages": 2,
        "tasks": 1,
        "background_ns": 80 * MS,
    }
    assert "; 1 request, 2 messages and 1 task waited" in found["summary"]
    detail = running.get(f"/api/findings/{found['id']}", service=sender.service)
    assert detail["victims"] == found["victims"]
    (other,) = running.get("/api/findings", service=sender.service, route="/report/")["findings"]
    assert other["victims"]["messages"] == 0
