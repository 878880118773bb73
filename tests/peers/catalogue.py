"""The peers: what each requires, how its documentation says it is started, and what it is told to send to."""

from dataclasses import dataclass, field
from typing import Final

SITE: Final = ("django==6.1.3", "uvicorn==0.54.0")
OTEL: Final = (
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-instrumentation-django[asgi]==0.66b1",
)
OTEL_SQL: Final = (
    "opentelemetry-instrumentation-sqlite3==0.66b1",
    "opentelemetry-instrumentation-psycopg==0.66b1",
)
QUICK: Final = {"OTEL_BSP_SCHEDULE_DELAY": "250"}
"""Spans leave within a round, as asgiscope's do."""


BRIDGES: Final = ("asgiref", "executor", "guard", "connections", "orm", "async_backend", "sessions", "caches")
OPERATIONS: Final = (
    "templates",
    "signals",
    "hashing",
    "files",
    "bodies",
    "mail",
    "responses",
    "channels",
    "tasks",
)
"""Probes that a mere watch of the loop does not need; the handler's names the request that a stall belongs to."""


@dataclass(frozen=True)
class Peer:
    """One way to run the site.

    `env` may use `{sink}`, the URL of the peer's own sink, `{port}`, the sink's port, and `{folder}`, an empty
    folder. `launcher` goes between the interpreter and uvicorn.
    """

    records: str
    """What it records of a request, in a few words for the table."""
    requirements: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ("-m",)
    agent: str = ""
    """The function of site/agents.py that starts it; empty: nothing is started."""
    has_asgiscope: bool = False
    sends: bool = True
    """Whether its sink must have received something for its row to count."""
    remark: str = ""

    @property
    def package(self) -> str:
        """The requirement whose version the table names."""
        return self.requirements[-1] if self.requirements else SITE[0]


def _asgiscope(records: str, **env: str) -> Peer:
    return Peer(
        records, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}", **env}, agent="asgiscope", has_asgiscope=True
    )


def _otel(records: str, *sql: str) -> Peer:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}", **QUICK}
    return Peer(
        records, (*OTEL[:2], *sql, OTEL[2]), env, agent="opentelemetry_sql" if sql else "opentelemetry"
    )


PEERS: Final = {
    "bare": Peer("nothing", sends=False),
    "asgiscope-watchdog": _asgiscope(
        "stalls of the loop, by route",
        ASGISCOPE_SKIP_PROBES=",".join(BRIDGES + OPERATIONS),
        OTEL_TRACES_SAMPLER="always_off",
    ),
    "asgiscope-off": _asgiscope("findings and totals, no traces", OTEL_TRACES_SAMPLER="always_off"),
    "asgiscope-tenth": _asgiscope(
        "findings, totals, 1 trace in 10",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.1",
    ),
    "asgiscope-all": _asgiscope("findings, totals, every trace", OTEL_TRACES_SAMPLER="always_on"),
    "loopsentry": Peer("stalls of the loop", ("loopsentry==1.2.0",), agent="loopsentry", sends=False),
    "aiocop": Peer("stalls and blocking calls", ("aiocop==1.2.1",), agent="aiocop", sends=False),
    "opentelemetry": _otel("every trace, no queries"),
    "opentelemetry-sql": _otel("every trace", *OTEL_SQL),
    "sentry": Peer(
        "every trace",
        ("sentry-sdk[django]==2.75.0",),
        {"PEER_DSN": "http://key@127.0.0.1:{port}/1"},
        agent="sentry",
    ),
    "ddtrace": Peer(
        "every trace",
        ("ddtrace==4.16.0",),
        {
            "DD_TRACE_AGENT_URL": "{sink}",
            "DD_TRACE_WRITER_INTERVAL_SECONDS": "0.25",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_SERVICE": "peers",
        },
        launcher=("-m", "ddtrace.commands.ddtrace_run", "python", "-m"),
    ),
    "newrelic": Peer(
        "every trace",
        ("newrelic==14.1.0",),
        {
            "NEW_RELIC_LICENSE_KEY": "0" * 40,
            "NEW_RELIC_DEVELOPER_MODE": "true",
            "NEW_RELIC_APP_NAME": "peers",
            "NEW_RELIC_LOG": "{folder}/newrelic.log",
        },
        launcher=("-m", "newrelic.admin", "run-program", "python", "-m"),
        sends=False,
        remark="in its developer mode, which makes up the back end's answers in the process",
    ),
    "elastic": Peer(
        "every trace",
        ("elastic-apm==6.26.2",),
        {
            "ELASTIC_APM_SERVER_URL": "{sink}",
            "ELASTIC_APM_SERVICE_NAME": "peers",
            "ELASTIC_APM_API_REQUEST_TIME": "250ms",
            "ELASTIC_APM_CENTRAL_CONFIG": "false",
        },
        agent="elastic",
    ),
    "scout": Peer(
        "every trace",
        ("scout-apm==4.0.0",),
        {
            "SCOUT_MONITOR": "true",
            "SCOUT_KEY": "key",
            "SCOUT_NAME": "peers",
            "SCOUT_CORE_AGENT_DOWNLOAD": "false",
            "SCOUT_CORE_AGENT_LAUNCH": "false",
            "SCOUT_CORE_AGENT_SOCKET_PATH": "tcp://127.0.0.1:{port}",
        },
        agent="scout",
    ),
    "logfire": Peer(
        "every trace",
        ("logfire[django,sqlite3,psycopg]==5.4.0",),
        {
            "PEER_SINK": "{sink}",
            "LOGFIRE_SEND_TO_LOGFIRE": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}",
            **QUICK,
        },
        agent="logfire",
    ),
}
