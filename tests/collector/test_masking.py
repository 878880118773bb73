"""What must not be stored is masked before it is on the disk; a pattern that cannot be is said at once."""

import asyncio
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asgiscope_collector.ingest.bodies import accept_traces
from asgiscope_collector.ingest.inbox import Inbox
from asgiscope_collector.ingest.masking import Mask
from asgiscope_collector.settings import Settings, SettingsError
from asgiscope_collector.wal.journal import Journal
from asgiscope_collector.wal.spool import Spool
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.spans import Sender, key_values

CARD = "4111111111111111"


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    """Patterns as somebody writes them."""
    file = tmp_path / "mask"
    file.write_text("# cards\n[0-9]{13,19}\n\n(?i)ann@[a-z.]+\n")
    return file


def with_secrets() -> bytes:
    """Return a span with a card's number and an address wherever an exception and a careless name put them."""
    sender = Sender("masked")
    sender.span(
        f"pay {CARD}", attributes={"exception.message": f"no {CARD}", "order": CARD, "http.route": "/pay"}
    )
    request = sender.export()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.message = "for Ann@Example.com"
    event = span.events.add(name="exception", time_unix_nano=time.time_ns())
    event.attributes.extend(
        key_values(
            {"exception.message": CARD, "exception.stacktrace": f"ValueError: {CARD}", "exception.type": "E"}
        )
    )
    body: bytes = request.SerializeToString()
    return body


def test_matches_are_masked_in_names_and_exceptions(mask_file: Path) -> None:
    """Names, messages and stacks; other attributes are the sender's own choice and stay."""
    accepted = accept_traces(with_secrets(), "application/x-protobuf", 7, Mask.read(str(mask_file)))
    (span,) = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans
    assert span.name == "pay ***"
    assert span.status.message == "for ***"
    assert [each.value.string_value for each in span.attributes] == ["no ***", CARD, "/pay"]
    assert [each.value.string_value for each in span.events[0].attributes] == ["***", "ValueError: ***", "E"]


def test_a_body_without_a_match_is_spooled_as_it_came(mask_file: Path) -> None:
    """Nothing is written anew for it."""
    sender = Sender("clean")
    sender.span("pay")
    body = sender.body()
    assert accept_traces(body, "application/x-protobuf", 7, Mask.read(str(mask_file))).body == body


def test_the_inbox_masks_what_it_spools(mask_file: Path, tmp_path: Path) -> None:
    """By the setting, in each encoding; folders are made and closed outside of the loop, as the collector does."""
    settings = Settings(data=tmp_path, mask=str(mask_file))
    journal = Journal(tmp_path / "journal", keep_seconds=600)
    spool = Spool(tmp_path / "spool", journal, max_bytes=10**6, segment_bytes=10**6)
    inbox = Inbox(settings, spool)

    async def send() -> None:
        await inbox.traces(with_secrets(), "application/x-protobuf")
        await inbox.traces(gzip.compress(with_secrets()), "application/x-protobuf", "gzip")

    try:
        asyncio.run(send())
    finally:
        inbox.close()
        spool.close()
    stored = b"".join(each.read_bytes() for each in (tmp_path / "spool").iterdir())
    assert stored.count(b"pay ***") == 2
    assert f"pay {CARD}".encode() not in stored


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("good\n[0-9\n", r"mask, line 2: '\[0-9' is no regular expression"),
        ("x*\n", "matches the empty text"),
    ],
)
def test_invalid_pattern_is_reported_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    """Where nothing was masked, or everything, nobody would know."""
    (tmp_path / "mask").write_text(content)
    with pytest.raises(SettingsError, match=says):
        Mask.read(str(tmp_path / "mask"))


def test_serve_does_not_start_and_check_fails_with_a_bad_pattern(tmp_path: Path) -> None:
    """One line on standard error, exit status 1."""
    (tmp_path / "mask").write_text("(\n")
    env = {"ASGISCOPE_COLLECTOR_MASK": "mask", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "asgiscope_collector"]
    served = subprocess.run(
        [*command, "serve", "--port", "0"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert served.returncode == 1
    assert "mask, line 1: '(' is no regular expression" in served.stderr
    assert "Traceback" not in served.stderr
    checked = subprocess.run(
        [*command, "check", "--json"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    (row,) = [each for each in json.loads(checked.stdout) if each["what"] == "mask"]
    assert row["level"] == "error"


def test_missing_mask_file_is_reported() -> None:
    """A typing error in its name must not store everything."""
    with pytest.raises(SettingsError, match="cannot be read"):
        Mask.read("/nowhere/mask")
