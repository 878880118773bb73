"""Starts another vendor's tracing in this site, as its documentation says: `SITE_APM` names it."""

import importlib
import os


def start(name: str) -> None:
    """Start it."""
    if name == "sentry":
        sdk = importlib.import_module("sentry_sdk")
        sdk.init(dsn=os.environ["SITE_SENTRY_DSN"], traces_sample_rate=1.0, profiles_sample_rate=1.0)
    elif name == "ddtrace":
        importlib.import_module("ddtrace.auto")
