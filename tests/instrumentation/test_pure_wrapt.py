"""wrapt without its C extension, as on builds without a GIL: it stands on the stack, and we tell the same."""

import os

import pytest

from tests.instrumentation.processes import run
from tests.sink import Sink

_ASK = """
import warnings, wrapt
async def main():
    return [await ask(path) for path in ("/sync-stream/", "/slow-signal/", "/hops/", "/gathered/")]
warnings.simplefilter("ignore")  # Django warns of the synchronous iterator
print(json.dumps([wrapt.FunctionWrapper.__module__, asyncio.run(main())]))
"""


@pytest.mark.parametrize(
    ("module", "pure"), [("_wrappers", ""), ("wrapt.wrappers", "1")], ids=["extension", "pure"]
)
def test_the_same_is_told(database: os.PathLike[str], module: str, pure: str) -> None:
    """Call sites, reasons of hops, names of signals; and no stack has it."""
    with Sink() as sink:
        answer = run(
            _ASK,
            SITE_DB=str(database),
            WRAPT_DISABLE_EXTENSIONS=pure,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
            ASGISCOPE_EXIT_TIMEOUT_MS="5000",
        )
    assert answer == [module, [200] * 4]
    told = sink.spans
    reasons = {span.name.removeprefix("sync_to_async "): span.get("asgiscope.hop.reason") for span in told}
    assert reasons["list"] == "response"
    assert reasons["QuerySet.count"] == "orm"
    assert reasons["Signal.asend.<locals>.sync_send"] == "signal"
    assert reasons["work"] == "code"
    assert "paid" in {span.get("asgiscope.signal.name") for span in told}
    (read,) = sink.findings("stream_read_whole")
    assert read["code.function.name"] == "sync_stream"
    assert not [span for span in told if "wrapt" in span.get("code.stacktrace", "")]
