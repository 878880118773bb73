"""asgiscope: see what blocks the event loop, and who holds the thread, in Django on ASGI.

Importing this package imports neither Django nor OpenTelemetry: the collector reads `asgiscope.semconv`
through it, and a site that switches asgiscope off must not pay for it.

PYTEST_DONT_REWRITE: pytest would rewrite this package's assertions, of which there are none, because its plugin is
in it, and warn where the package has been imported already.
"""

__all__ = ["__version__", "instrument", "uninstrument"]

__version__ = "0.1.0"


def instrument() -> bool:
    """Install every probe that this process can take, once, as soon as Django has loaded its models.

    The same as the app in `INSTALLED_APPS`, `asgiscope run` and `opentelemetry-instrument`. Calling it again
    does nothing. It never raises: a part that cannot be instrumented is left alone, with one warning.

    Returns:
        Whether asgiscope is active, or will be when Django is ready (False under `ASGISCOPE_DISABLED=1`).
    """
    from asgiscope.config import switched_off  # noqa: PLC0415 - see the module docstring

    if switched_off():
        return False
    from asgiscope import autoload  # noqa: PLC0415 - see the module docstring

    return autoload.install_when_ready()


def uninstrument() -> None:
    """Take every patch off again, send what is recorded, and stop the threads."""
    from asgiscope import autoload  # noqa: PLC0415 - see the module docstring

    autoload.stop_waiting()
    from asgiscope.instrumentor import remove  # noqa: PLC0415 - see the module docstring

    remove()
