"""Database connections: their age, and those left open in threads that have ended."""

from pathlib import Path

from tests.instrumentation.processes import run

_SEEN = """
import threading, time
from django.db import connections
made = instrumentor.active()
told = []
send = made.recorder.send
def keep(scope, notable):
    told.append(scope)
    return send(scope, notable)
made.recorder.send = keep
kept = []
def leaves():
    connection = connections["default"]
    connection.ensure_connection()
    kept.append(connections._connections.default)
def in_a_thread(function):
    thread = threading.Thread(target=function, name=function.__name__)
    thread.start()
    thread.join()
def left():
    made.connections._next = 0
    made.connections.check(made.recorder.clock())
    return [scope for scope in told if getattr(scope, "kind", "") == "connection"]
"""


def test_a_connection_left_open_in_a_thread_that_has_ended(tmp_path: Path) -> None:
    """Told once, at the line that opened it; the connection itself is not touched."""
    answer = run(
        _SEEN
        + """
in_a_thread(leaves)
first, second = left(), left()
(one,) = first
span = made.pipeline.maker.make(one)
print(json.dumps([len(second), span.name, span.attributes, one.tags.thread_name, kept[0].connection is not None]))
""",
        SITE_DB=str(tmp_path / "db.sqlite3"),
    )
    number, name, attributes, thread, still_open = answer
    assert number == 1
    assert name == "connection left open default"
    assert thread == "leaves"
    assert attributes["asgiscope.finding"] == "connection_left"
    assert ", in leaves\n" in attributes["code.stacktrace"]
    assert attributes["asgiscope.db.connections_left"] == 1
    assert attributes["asgiscope.db.connection_age_ns"] > 0
    assert still_open


def test_connections_that_are_closed_shared_or_in_use_are_not_left(tmp_path: Path) -> None:
    """Nor those that went with their thread, nor those of a thread that lives."""
    answer = run(
        _SEEN
        + """
import gc
def closes():
    leaves()
    connections["default"].close()
def shares():
    leaves()
    kept[-1].inc_thread_sharing()
def goes():
    leaves()
    kept.pop().close()
stop = threading.Event()
def lives():
    leaves()
    stop.wait(10)
for function in (closes, shares, goes):
    in_a_thread(function)
living = threading.Thread(target=lives)
living.start()
while len(kept) < 3:
    time.sleep(0.01)
gc.collect()
before = len(left())
stop.set()
living.join()
print(json.dumps([before, len(left())]))
""",
        SITE_DB=str(tmp_path / "db.sqlite3"),
    )
    assert answer == [0, 1]


def test_statements_know_the_age_of_their_connection(tmp_path: Path) -> None:
    """Anew when it is opened anew."""
    answer = run(
        _SEEN
        + """
ages = []
def ask():
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    (query,) = [scope for scope in told if "SELECT 1" in getattr(scope, "attributes", {}).get("sql", "")]
    told.clear()
    ages.append(query.attributes["asgiscope.db.connection_age_ns"] / 1e9)
ask()
time.sleep(0.3)
ask()
connections["default"].close()
ask()
connections["default"].close()
print(json.dumps(ages))
""",
        SITE_DB=str(tmp_path / "db.sqlite3"),
    )
    first, second, third = answer
    assert first > 0
    assert second >= first + 0.29
    assert third < second
