"""asgiscope: find what blocks the event loop, and what holds the thread, in Django on ASGI.

Importing this package imports neither Django nor OpenTelemetry: the collector imports `asgiscope.semconv`,
and a site that disables asgiscope must not pay for the imports.

PYTEST_DONT_REWRITE: pytest would rewrite this package's assertions, of which there are none, because it
contains a plugin, and would warn if the package has already been imported.
"""

__all__ = ["__version__", "instrument", "pause", "resume", "uninstrument"]

__version__ = "0.1.0"


def instrument() -> bool:
    """Install every probe that this process supports, once, as soon as Django has loaded its models.

    Equivalent to the app in `INSTALLED_APPS`, `asgiscope run` and `opentelemetry-instrument`. Calling it
    again does nothing. It never raises: a part that cannot be instrumented is left out, with one warning.

    Returns:
        Whether asgiscope is active, or will be when Django is ready (False under `ASGISCOPE_DISABLED=1`).
    """
    from asgiscope.config import switched_off  # noqa: PLC0415 - see the module docstring

    if switched_off():
        return False
    from asgiscope import autoload  # noqa: PLC0415 - see the module docstring

    return autoload.install_when_ready()


def uninstrument() -> None:
    """Remove every patch, send what is recorded, and stop the threads."""
    from asgiscope import autoload  # noqa: PLC0415 - see the module docstring

    autoload.stop_waiting()
    from asgiscope.instrumentor import remove  # noqa: PLC0415 - see the module docstring

    remove()


def pause() -> None:
    """Switch asgiscope off in this process until `resume()`: every patch is removed, and no loop is watched.

    What was recorded before is still sent. `ASGISCOPE_OFF_FILE` does the same for all processes at once.
    """
    from asgiscope import instrumentor  # noqa: PLC0415 - see the module docstring

    instrumentor.pause()


def resume() -> None:
    """Switch asgiscope on again, unless the file `ASGISCOPE_OFF_FILE` exists."""
    from asgiscope import instrumentor  # noqa: PLC0415 - see the module docstring

    instrumentor.resume()
