"""Settings: `ASGISCOPE_*` variables, or the `ASGISCOPE` dict in Django settings (the variable wins).

`OTEL_*` variables keep the meaning that OpenTelemetry gives them; those read here decide whether anything is
sent, and how often.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

PREFIX = "ASGISCOPE_"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class SettingError(ValueError):
    """A setting has an invalid value. The message names the setting and the values that it takes."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of asgiscope, with its default.

    Each field `name` is the variable `ASGISCOPE_NAME` and the key `NAME` of `settings.ASGISCOPE`.
    Fields that end in `_ms` are milliseconds.
    """

    disabled: bool = False
    """Kill switch: install nothing."""
    off_file: str = ""
    """Path of a file: while it exists, asgiscope is off in every process that can see it (looked for once a
    second)."""
    endpoint: str = ""
    """Base URL of the collector; empty: `OTEL_EXPORTER_OTLP_ENDPOINT`, as any OpenTelemetry exporter."""
    wait_ms: float = 5.0
    """A queue wait from which a bridge call is a finding, whether or not its trace is sampled: the part in which
    other calls held the thread and it was not starved of a processor or the GIL."""
    blocked_ms: float = 10.0
    """Duration from which a blocking call that a probe records is reported, whether or not its trace is sampled."""
    stall_ms: float = 50.0
    """Duration from which the watchdog reports a stall that no probe recorded."""
    sample_ms: float = 10.0
    """Interval at which the watchdog checks the loops; the precision of a stall that only the watchdog detects."""
    parked_ms: float = 500.0
    """Duration from which a thread parked in `async_to_sync` is a finding."""
    ongoing_ms: float = 1_000.0
    """Age from which a wait, a held thread, a parked thread or a blocked loop is reported while it lasts; again at
    twice that age, four times, and so on."""
    in_flight_ms: float = 30_000.0
    """Age from which a request that has not begun to answer is reported while it lasts, with the line that it
    awaits, where it waits for no thread and no connection; again at twice that age, and so on. It is no finding."""
    hop_storm: int = 10
    """Number of bridge calls from one call site in one request from which they are a finding."""
    source_lines: int = 0
    """Lines of source sent with a finding, before and after its call site, at most 20; 0 sends no source. Only the
    application's own modules are read."""
    queue_size: int = 20_000
    """Records kept for sending; when full, the newest are dropped and counted."""
    send_interval_ms: float = 250.0
    """Interval at which records are sent."""
    metric_interval_ms: float = 10_000.0
    """Interval at which totals are sent as metrics. `OTEL_METRIC_EXPORT_INTERVAL` has precedence where it is set,
    and `OTEL_METRICS_EXPORTER=none` sends none."""
    exit_timeout_ms: float = 2_000.0
    """How long the interpreter's exit may wait until the last records are sent."""
    app_paths: str = ""
    """Folders, separated by `:`, whose code is the application's although it is in site-packages."""
    otel_django: bool = False
    """Switch OpenTelemetry's DjangoInstrumentor on (extra `otel-django`), if nothing else has."""
    skip_probes: str = ""
    """Names of probes not to install, separated by commas (`orm,sessions`)."""


def load(
    environ: Mapping[str, str] | None = None, django_settings: Mapping[str, Any] | None = None
) -> Config:
    """Read the settings.

    Raises:
        SettingError: a value is of the wrong type, or a key of `settings.ASGISCOPE` is not a setting.
    """
    env = os.environ if environ is None else environ
    given = dict(django_settings or {})
    values: dict[str, Any] = {}
    for field in fields(Config):
        key = field.name.upper()
        default = field.default
        raw = env.get(PREFIX + key, given.pop(key, default))
        values[field.name] = _convert(key, raw, default)
    if given:
        known = ", ".join(field.name.upper() for field in fields(Config))
        raise SettingError(f"settings.ASGISCOPE has no setting {min(given)!r}; there are: {known}")
    if _sdk_disabled(env):
        values["disabled"] = True
    interval = env.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if interval:
        values["metric_interval_ms"] = _convert("METRIC_INTERVAL_MS", interval, 1.0)
    return Config(**values)


def switched_off(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the environment alone disables asgiscope: then nothing else is read or imported."""
    env = os.environ if environ is None else environ
    return env.get(PREFIX + "DISABLED", "").strip().lower() in _TRUE or _sdk_disabled(env)


def sources(
    environ: Mapping[str, str] | None = None, django_settings: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return the source of each field for `load`: the name of the variable, `settings.ASGISCOPE`, or `default`."""
    env = os.environ if environ is None else environ
    given = django_settings or {}
    found = {}
    for field in fields(Config):
        key = field.name.upper()
        where = PREFIX + key if PREFIX + key in env else "settings.ASGISCOPE" if key in given else "default"
        found[field.name] = where
    if _sdk_disabled(env):
        found["disabled"] = "OTEL_SDK_DISABLED"
    if env.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip():
        found["metric_interval_ms"] = "OTEL_METRIC_EXPORT_INTERVAL"
    return found


def _sdk_disabled(env: Mapping[str, str]) -> bool:
    return env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _convert(key: str, raw: object, default: object) -> object:
    if isinstance(default, bool):
        if isinstance(raw, bool):
            return raw
        text = str(raw).strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise SettingError(f"{PREFIX}{key} is {raw!r}; it takes 1 or 0")
    if isinstance(default, int | float):
        try:
            number = type(default)(str(raw))
        except ValueError:
            number = -1
        if number < 0 or (number == 0 and default != 0):
            wanted = "above 0" if default else "from 0 on"
            raise SettingError(f"{PREFIX}{key} is {raw!r}; it takes a number {wanted}")
        return number
    return str(raw)
