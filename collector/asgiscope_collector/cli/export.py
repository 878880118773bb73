"""`export`: write a trace in another tool's format."""

import argparse
import json
import re
from pathlib import Path

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "export",
        help="write a trace for another tool",
        description="Write one trace: as OTLP JSON, which can be posted to any collector's /v1/traces, or as "
        "Chrome trace JSON, which ui.perfetto.dev and speedscope.app open.",
    )
    add_data(parser)
    parser.add_argument("trace_id", type=_trace_id, metavar="TRACE_ID", help="32 hexadecimal digits")
    parser.add_argument("--format", choices=["otlp-json", "chrome"], default="otlp-json", help="(otlp-json)")
    parser.add_argument("--output", type=Path, help="file to write (standard output)")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Write the trace; return 1 if it is not stored."""
    try:
        trace = on_store(settings_of(asked), "export", trace_id=asked.trace_id, form=asked.format)
        if trace is None:
            return fail(
                f"no trace {asked.trace_id}: not sampled, not stored yet, or older than the retention"
            )
        text = json.dumps(trace)
        if asked.output:
            asked.output.write_text(text, encoding="utf-8")
        else:
            say(text)
    except (StoreUnavailableError, OSError) as error:
        return fail(str(error))
    return 0


def _trace_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no trace id: it has 32 hexadecimal digits")
    return text.lower()
