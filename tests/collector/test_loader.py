"""What the engine refuses is set aside, and harms nothing that came with it; loading lets others go first."""

import asyncio
import io
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from asgiscope_collector.ingest.loader import rest_after
from asgiscope_collector.store.threads import LOAD_NICE, MERGE_NICE, MERGES
from asgiscope_collector.wal.journal import Journal
from asgiscope_collector.wal.segment import encode_record, iter_records
from asgiscope_collector.wal.spool import Spool

from tests.collector.conftest import Running
from tests.collector.spans import Sender


def test_a_body_that_the_engine_refuses_is_set_aside(running: Running, service: str) -> None:
    """Past the receiver, which lets none through: the good bodies of its segment are stored, once."""
    loader, spool = running.collector.loader, running.collector.spool
    senders = [Sender(service), Sender(service)]
    for number, sender in enumerate(senders):
        sender.span(f"good {number}")
    junk = b"\x0a\xff\xff\xff\xff\x7f"
    rejected = loader.rejected_bodies

    async def append() -> None:
        await asyncio.gather(
            *(
                spool.append("traces", body, body[:16])
                for body in (senders[0].body(), junk, senders[1].body())
            )
        )

    asyncio.run(append())
    running.wait_for(lambda: spool.size == 0)
    assert loader.rejected_bodies == rejected + 1
    kept = list((running.collector.settings.data / "rejected").iterdir())
    assert junk in [path.read_bytes() for path in kept]
    rows = running.rows(
        "SELECT SpanName AS name FROM otel_traces WHERE ServiceName = {service:String} ORDER BY name",
        service=service,
    )
    assert [row["name"] for row in rows] == ["good 0", "good 1"]
    assert running.get("/readyz") == {"status": "ready"}


def test_a_schema_cut_short_by_a_full_disk_is_no_fault_of_the_data(running: Running, service: str) -> None:
    """The engine keeps the schema in a file and then refuses every body: it is made to write it anew."""
    loader, engine = running.collector.loader, running.collector.engine
    engine.execute("SYSTEM DROP FORMAT SCHEMA CACHE")
    engine.check_schema("traces")
    kept = max(Path("__cache__").glob("*.proto"), key=lambda path: path.stat().st_mtime)
    engine.execute("SYSTEM DROP FORMAT SCHEMA CACHE FOR Protobuf")
    kept.write_bytes(b"")
    rejected, failures = loader.rejected_bodies, loader.failures
    sender = Sender(service)
    sender.span("kept")
    running.send(sender)
    assert [
        row["name"]
        for row in running.rows(
            "SELECT SpanName AS name FROM otel_traces WHERE ServiceName = {service:String}", service=service
        )
    ] == ["kept"]
    assert loader.failures > failures
    assert loader.rejected_bodies == rejected
    assert kept.stat().st_size


def test_two_hundred_thousand_spans_in_one_insert_are_stored_once(running: Running, service: str) -> None:
    """Larger than any block of the engine: a repeated insert adds nothing to spans or rollups."""
    sender = Sender(service)
    for _ in range(200):
        sender.stall(None, blocked_ns=1000)
    one = encode_record(sender.body())
    engine = running.collector.engine
    sums = []
    for _ in range(2):
        engine.load("traces", io.BytesIO(one * 1000), f"{service}.token")
        sums.append(
            (
                running.rows(
                    "SELECT count() AS n FROM otel_traces WHERE ServiceName = {service:String}",
                    service=service,
                )[0]["n"],
                running.findings(service=service)[0]["count"],
            )
        )
    assert sums == [(200_000, 200_000)] * 2


def test_a_segment_that_fails_keeps_no_other_waiting(tmp_path: Path) -> None:
    """The others are taken before it, for so long; a spool that closes gives all it has."""
    journal = Journal(tmp_path / "digests", keep_seconds=60)
    spool = Spool(tmp_path / "spool", journal, max_bytes=10_000, segment_bytes=1_000)

    async def append() -> None:
        for signal in ("traces", "metrics"):
            await spool.append(signal, b"x", signal.encode())

    asyncio.run(append())
    first = spool.next_segment(age=0, timeout=30)
    assert first is not None
    spool.release(first, 60)
    second = spool.next_segment(age=0, timeout=30)
    assert second is not None
    assert second != first
    spool.remove(second)
    assert spool.next_segment(age=0, timeout=0) is None
    spool.release(first, 0.05)
    assert spool.next_segment(age=0, timeout=30) == first
    spool.release(first, 60)
    spool.close()
    assert spool.next_segment(age=0, timeout=0) == first


def test_load_mark_of_an_earlier_version_is_kept_over_a_restart(tmp_path: Path) -> None:
    """The mark of a begun load used to end in `.doubt`: such a segment is still reconciled, not loaded again."""
    journal = Journal(tmp_path / "digests", keep_seconds=60)

    def open_spool() -> Spool:
        return Spool(tmp_path / "spool", journal, max_bytes=10_000, segment_bytes=1_000)

    spool = open_spool()
    asyncio.run(spool.append("traces", b"x", b"digest"))
    segment = spool.next_segment(age=0, timeout=30)
    assert segment is not None
    assert spool.begin_load(segment)
    spool.release(segment, 0)
    spool.close()
    mark = segment.with_name(segment.name + ".loading")
    mark.rename(segment.with_name(segment.name + ".doubt"))
    spool = open_spool()
    try:
        assert spool.is_load_begun(segment)
        assert mark.exists()
        assert not spool.begin_load(segment)
    finally:
        spool.close()


def test_rest_after_an_insert_grows_with_it_and_is_bounded_by_the_interval() -> None:
    """An interval that is shorter than the default bounds it further, a longer one does not lengthen it."""
    assert rest_after("traces", 0.1, interval=0.25) == pytest.approx(0.2)
    assert rest_after("metrics", 0.1, interval=0.25) == pytest.approx(0.4)
    assert rest_after("traces", 60, interval=0.25) == pytest.approx(5)
    assert rest_after("traces", 60, interval=0.02) == pytest.approx(0.4)
    assert rest_after("traces", 60, interval=60) == pytest.approx(5)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_frames_are_read_back(size: int) -> None:
    """A length of one to four bytes; what is torn ends the reading."""
    body = b"x" * size
    framed = encode_record(body)
    assert list(iter_records(framed + framed)) == [(len(framed), body), (2 * len(framed), body)]
    assert list(iter_records(framed + framed[:-1])) == [(len(framed), body)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_loading_and_merging_let_others_go_first(running: Running, sender: Sender) -> None:
    """Of the threads that answer none is put back, and none of the engine's goes before them."""
    sender.span("stored")
    running.send(sender)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    seen: dict[str, set[int]] = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            name = python.get(int(task.name)) or (task / "comm").read_text().strip()
            seen.setdefault(name, set()).add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    assert seen["asgiscope-loader-0"] == seen["asgiscope-loader-1"] == {max(own, LOAD_NICE)}
    assert seen[MERGES] == {max(own, MERGE_NICE)}
    assert seen["asgiscope-spool"] == {own}
    assert min(map(min, seen.values())) >= min(own, 0)
