"""Django's signals: receivers run one after another, in the sending thread.

Owns: `Signal.send` and `Signal.send_robust`. Their async variants send synchronous receivers to a thread,
which the bridge records. `pre_init` and `post_init`, sent for every model instance, are not patched: see
`_OMITTED`.

Overhead model: see `operations`; a signal without receivers costs one more attribute look-up. A span is made
if it took a millisecond or longer; the call site shows which receiver it was.
"""

import functools
import sys
import weakref
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Work
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation
from asgiscope.stack import call_site

_WORTH_NS = 1_000_000
_OMITTED = ("pre_init", "post_init")
"""A wrapper's half a microsecond, twice for each row of a queryset, is a tenth of the cost of creating a row.
"""
_names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def install(recorder: Recorder) -> Patches:
    """Patch signals.

    Raises:
        Unsupported: Django is missing, or its signals are sent by other methods.
    """
    try:
        from django.db.models import signals  # noqa: PLC0415 - may be missing
        from django.dispatch import Signal  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(Signal, "send", "send_robust")
    work = Work(recorder, "signals", sc.SPAN_SIGNAL, nests=True, worth_ns=_WORTH_NS)
    patches = Patches()
    for name in _OMITTED:
        signal = getattr(signals, name)
        patches.replace(signal, "send", functools.partial(vars(Signal)["send"], signal))
    for name in ("send", "send_robust"):
        patches.wrap(Signal, name, _received(work.wrapper(_describe)))
    return patches


def _received(send: Wrapper) -> Wrapper:
    def call(wrapped: Callable[..., Any], signal: Any, args: Any, kwargs: Any) -> Any:
        if not signal.receivers:
            return wrapped(*args, **kwargs)
        return send(wrapped, signal, args, kwargs)

    return call


def _describe(operation: Operation, signal: Any, _args: Any, _kwargs: Any) -> None:
    name = _names.get(signal)
    if name is None:
        name = _names[signal] = _name(signal, _sender(sys._getframe(1)))  # noqa: SLF001
    operation.name = f"{sc.SPAN_SIGNAL} {name}".strip()
    operation.attributes[sc.SIGNAL_NAME] = name
    operation.attributes[sc.SIGNAL_RECEIVERS] = len(signal.receivers)


def name_of(frame: FrameType) -> str:
    """Return the name of the signal that a frame of `Signal.send` sends, "" if it has none."""
    signal = frame.f_locals.get("self")
    try:
        known = _names.get(signal)
    except TypeError:  # a signal of the site's own class, without weak references
        return ""
    return known if known is not None else _name(signal, _sender(frame.f_back))


def _sender(frame: FrameType | None) -> FrameType | None:
    """Return the frame that sends: the first outwards that is not asgiscope's."""
    while frame is not None and call_site.is_internal(frame.f_code):
        frame = frame.f_back
    return frame


def _name(signal: Any, frame: FrameType | None) -> str:
    """Return the signal's name in the module that sends it, or in a module that this one imports; else ''."""
    if frame is None:
        return ""
    modules = [frame.f_globals]
    modules += [vars(value) for value in list(frame.f_globals.values()) if isinstance(value, ModuleType)]
    for names in modules:
        for name, value in list(names.items()):
            if value is signal:
                return name
    return ""
