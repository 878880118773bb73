"""Call sites: classifies frames, and finds the innermost one that belongs to the application.

Overhead model: a frame costs one dictionary look-up once its file is known; walks are bounded. Known
limitation: an application installed into site-packages counts as a third-party package unless its folder is
named in `ASGISCOPE_APP_PATHS`.

Longer than 400 lines because all walks over a stack follow the one classification of frames.
"""

import functools
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final, NamedTuple

import wrapt

import asgiscope
from asgiscope.stack import servers

MAX_DEPTH = 128
"""Limit of frames in one walk. A Django request on ASGI is some 40 deep."""
MAX_STACK = 48
"""Limit of frames kept of a stack."""
_MAX_FILES = 50_000
_MAX_SITES = 10_000


class Owner(IntEnum):
    """Whose code a frame runs, in ascending order of preference for a call site."""

    STDLIB = 0
    BOUNDARY = 1
    """The event loop, the thread pool, the script that started the process: no walk goes beyond."""
    OWN = 2
    """asgiscope, or a wrapper around it: skipped, as if it were not on the stack."""
    FRAMEWORK = 3
    """Django, asgiref, the server (see `servers`): never a call site."""
    LAYER = 4
    """Django's wrapper around each middleware, its test client: frames beyond it only passed a request on."""
    THIRD_PARTY = 5
    APPLICATION = 6


class Site(NamedTuple):
    """A line of code."""

    function: str
    file: str
    line: int


class Frame(NamedTuple):
    """A frame reduced to its code and instruction: a real frame would keep its locals alive."""

    code: CodeType
    lasti: int
    """The current instruction. Its line number costs a walk, so it is computed on demand."""

    @property
    def line(self) -> int:
        """The line number."""
        for begin, end, line in self.code.co_lines():
            if begin <= self.lasti < end and line is not None:
                return line
        return self.code.co_firstlineno

    @property
    def key(self) -> tuple[int, int]:
        """A key that is unique while both are kept: code objects are slow to hash."""
        return id(self.code), self.lasti


# Looking up a member of an enumeration is slow, and these are read several times per call.
_BOUNDARY: Final = Owner.BOUNDARY
_OWN: Final = Owner.OWN
_LAYER: Final = Owner.LAYER
_THIRD_PARTY: Final = Owner.THIRD_PARTY
_APPLICATION: Final = Owner.APPLICATION

_new: Final = tuple.__new__
_owners: dict[str, Owner] = {}
"""By file name: its hash is cached, a code object's is not, and equal code in two files compares equal."""
_sites: dict[tuple[int, int], Frame] = {}
"""Lines of the application that made calls, by `Frame.key`: the same object for the same line."""
_app_paths: tuple[str, ...] = ()
_stdlib = tuple(
    {
        str(Path(path).resolve()) + os.sep
        for key in ("stdlib", "platstdlib")
        if (path := sysconfig.get_paths().get(key))
    }
)
_own = tuple(str(Path(file).resolve().parent) + os.sep for file in (asgiscope.__file__, wrapt.__file__))
"""Without its C extension, wrapt adds Python frames between us and the functions that we wrap."""
_FRAMEWORKS = ("django", "asgiref", "asgiscope", "wrapt", "opentelemetry")
_BOUNDARIES = (
    f"{os.sep}asyncio{os.sep}base_events.py",
    f"{os.sep}asyncio{os.sep}events.py",
    f"{os.sep}asyncio{os.sep}runners.py",
    f"{os.sep}concurrent{os.sep}futures{os.sep}thread.py",
    f"{os.sep}uvloop{os.sep}__init__.py",
)
"""Where a stack ends: frames beyond started the loop or the thread, not the work."""
_CALLED: Final = frozenset(
    {"shutdown", "submit", "__exit__", "run_in_executor", "shutdown_default_executor", "_do_shutdown"}
    | {"call_soon", "call_soon_threadsafe", "create_task", "create_connection", "getaddrinfo"}
)
"""Functions in those files that an application calls: a walk continues through them."""
_LAYERS = (
    *(f"{os.sep}django{os.sep}core{os.sep}handlers{os.sep}{name}.py" for name in ("asgi", "exception")),
    f"{os.sep}django{os.sep}test{os.sep}client.py",
)
Base = tuple[int, CodeType | None]
"""`id()` and code of the frame at which a stack ends."""
NO_BASE: Final[Base] = (0, None)
_REQUEST = "ASGIRequest."
_COMPREHENSION = re.compile(r"(\.<locals>\.<(?:genexpr|listcomp|setcomp|dictcomp)>)+$")


def configure(app_paths: str) -> None:
    """Set the folders that belong to the application wherever they are (separated by `os.pathsep`)."""
    global _app_paths  # noqa: PLW0603 - set once, before any probe is installed
    servers.recognise_process()
    _app_paths = tuple(str(Path(p).resolve()) + os.sep for p in app_paths.split(os.pathsep) if p)
    _owners.clear()
    _sites.clear()


def recognise_server(loop: object, frame: FrameType | None) -> None:
    """Detect the server from a running loop and the stack around a call of the ASGI application."""
    of_loop = servers.recognise_loop(loop)
    if servers.recognise_callers(frame) or of_loop:
        _owners.clear()  # classify their files again


def owner(code: CodeType) -> Owner:
    """Return whose code this is."""
    filename = code.co_filename
    known = _owners.get(filename)
    if known is None:
        if len(_owners) >= _MAX_FILES:  # code created at run time has new names each time
            _owners.clear()
        known = _owners[filename] = _classify(filename)
    return known


def _classify(filename: str) -> Owner:
    path = os.path.abspath(filename)  # noqa: PTH100 - resolve() would touch the disk on the hot path
    if filename.endswith(_BOUNDARIES) or servers.is_launcher(path):
        return Owner.BOUNDARY
    if filename.endswith(_LAYERS):
        return Owner.LAYER
    if path.startswith(_own):
        return Owner.OWN
    if _app_paths and path.startswith(_app_paths):
        return Owner.APPLICATION
    package = servers.package_of(path)
    if package:
        framework = package in _FRAMEWORKS or servers.is_server(package)
        return Owner.FRAMEWORK if framework else Owner.THIRD_PARTY
    frozen = filename.startswith("<")
    return Owner.STDLIB if frozen or path.startswith(_stdlib) else Owner.APPLICATION


def of_application(file: str) -> bool:
    """Return whether code of this file belongs to the application. Not cached: call it once per file."""
    return _classify(file) is Owner.APPLICATION


def is_internal(code: CodeType) -> bool:
    """Return whether it is asgiscope's own code, or a wrapper around it."""
    return owner(code) is _OWN


def nearest_app_frame(frame: FrameType | None, depth: int = 8) -> Frame | None:
    """Return the innermost application frame within `depth` frames, or None: cheap enough for every bridge call.

    Our own frames do not count, so that callers need not know their number.
    """
    found = nearest_app_frame_or_library(frame, depth)
    return None if lacks_application(found) else found


def nearest_app_frame_or_library(frame: FrameType | None, depth: int = 8) -> Frame | None:
    """Return the same as `nearest_app_frame`; without an application frame, the innermost third-party frame."""
    library: FrameType | None = None
    while frame is not None and depth:
        code = frame.f_code
        who = _owners.get(code.co_filename)
        if who is None:
            who = owner(code)
        if who is _APPLICATION:
            lasti = frame.f_lasti
            return _sites.get((id(code), lasti)) or _site(code, lasti)
        if (who is _LAYER and not _is_passed(code)) or (who is _BOUNDARY and code.co_name not in _CALLED):
            break
        if who is _THIRD_PARTY and library is None:
            library = frame
        frame = frame.f_back
        if who is not _OWN:
            depth -= 1
    if library is None:
        return None
    code, lasti = library.f_code, library.f_lasti
    return _sites.get((id(code), lasti)) or _site(code, lasti)


def is_end(code: CodeType) -> bool:
    """Return whether no walk goes beyond a frame of this code."""
    return owner(code) is _BOUNDARY and code.co_name not in _CALLED


def lacks_application(site: Frame | None) -> bool:
    """Return whether the application's line must still be searched beyond this call site."""
    return site is None or owner(site.code) is not _APPLICATION


def is_application(frame: Frame) -> bool:
    """Return whether a frame runs the application's code."""
    return owner(frame.code) is _APPLICATION


def is_layer(frame: Frame) -> bool:
    """Return whether a frame is Django's wrapper around a middleware or the view, which passes requests on."""
    return owner(frame.code) is _LAYER and not _is_passed(frame.code)


def _is_passed(code: CodeType) -> bool:
    """Return whether code in a layer's file is not a layer: Django's request class is in its handler's file."""
    return code.co_qualname.startswith(_REQUEST)


def kept(frame: Frame) -> Frame:
    """Return the same object for the same line each time."""
    return _sites.get(frame.key) or _site(*frame)


def _site(code: CodeType, lasti: int) -> Frame:
    """Return a new frame and keep it with its code, so that the `id()` of the code stays unique."""
    if len(_sites) >= _MAX_SITES:
        _sites.clear()
    frame = Frame(code, lasti)
    _sites[frame.key] = frame
    return frame


def stack(frame: FrameType | None, base: Base = NO_BASE) -> list[Frame]:
    """Return the stack from `frame` outwards, innermost first, without asgiscope's own frames, up to `base`."""
    frames: list[Frame] = []
    depth = MAX_DEPTH
    end, end_code = base
    while frame is not None and depth:
        code = frame.f_code
        if code is end_code and id(frame) == end:
            break
        who = _owners.get(code.co_filename)
        if who is None:
            who = owner(code)
        if who is _BOUNDARY and code.co_name not in _CALLED:
            break
        if who is not _OWN:
            # skips the function that `Frame(...)` would call
            frames.append(_new(Frame, (code, frame.f_lasti)))
        frame = frame.f_back
        depth -= 1
    return frames


def record(frame: FrameType) -> Frame:
    """Return the reduced frame of a live one: the only way to create one, besides the inlined walks here."""
    return _new(Frame, (frame.f_code, frame.f_lasti))


def capture_raw(frame: FrameType | None) -> list[Any]:
    """Return the raw stack from `frame` outwards: code, instruction, code, instruction, and so on.

    For a stack that is rarely used: frames are not classified, and only one object is created.
    """
    found: list[Any] = []
    depth = MAX_DEPTH
    while frame is not None and depth:
        found += (frame.f_code, frame.f_lasti)
        frame = frame.f_back
        depth -= 1
    return found


def resolve(found: Sequence[Any]) -> list[Frame]:
    """Return the stack of a raw one: what `stack` would have returned."""
    kept = []
    for code, lasti in zip(found[::2], found[1::2], strict=True):
        who = owner(code)
        if who is _BOUNDARY and code.co_name not in _CALLED:
            break
        if who is not _OWN:
            kept.append(Frame(code, lasti))
    return kept


def current_stack() -> list[Frame]:
    """Return the stack of the calling thread, innermost first, without asgiscope's own frames."""
    return stack(sys._getframe())  # noqa: SLF001 - the documented way to one's own stack


def select_call_site(frames: Sequence[Frame]) -> Frame | None:
    """Return the call site among `frames` (innermost first): the application's, else a third-party package's.

    Not beyond the running middleware or view: an outer one is no more the cause than the server.
    """
    best: Frame | None = None
    for frame in frames:
        who = owner(frame.code)
        if who is Owner.APPLICATION:
            return frame
        if who is Owner.LAYER and not _is_passed(frame.code):
            break
        if who is Owner.THIRD_PARTY and best is None:
            best = frame
    return best


def select_call_site_or_innermost(frames: Sequence[Frame]) -> Frame | None:
    """Return the call site, or else the framework's innermost line, or else the innermost of all."""
    found = select_call_site(frames)
    if found is not None or not frames:
        return found
    return next((frame for frame in frames if owner(frame.code) is Owner.FRAMEWORK), frames[0])


def entry(frames: Sequence[Frame], found: Frame) -> Frame:
    """Return where a stack (innermost first) enters the package of one of its frames.

    A library's innermost line differs between samples; the line that entered it stays the same. Skips the
    standard library and Django, which call a package's code for the package (a panel's method from its
    template), and does not go beyond the running middleware or view.
    """
    who, package = owner(found.code), servers.package_of(found.code.co_filename)
    outermost = found
    inside = False
    for frame in frames:
        inside = inside or frame is found
        of = owner(frame.code)
        if not inside:
            continue
        if of is who and servers.package_of(frame.code.co_filename) == package:
            outermost = frame
        elif of is not Owner.STDLIB and of is not Owner.FRAMEWORK:
            break
    return outermost


def site_of(frame: Frame) -> Site:
    """Return a frame as a reported site. A comprehension is part of its function, as from Python 3.12 on."""
    return Site(_COMPREHENSION.sub("", frame.code.co_qualname), frame.code.co_filename, frame.line)


def identity_of(func: object) -> object:
    """Return what identifies a callable without keeping it alive: its code, or its name if it has none.

    A bound method, a partial or a closure refers to the application's objects, which must not live until a
    record of the call has been sent.
    """
    if type(func) is FunctionType and not hasattr(func, "__wrapped__"):  # the most common case
        return func.__code__
    seen: Any = func
    for _ in range(8):
        kind = type(seen)
        if kind is FunctionType:
            wrapped = getattr(seen, "__wrapped__", None)  # its `__dict__` is not read: reading it creates one
            if wrapped is None:
                return seen.__code__
            seen = wrapped
        elif kind is MethodType:
            seen = seen.__func__
        elif kind is functools.partial:
            seen = seen.func
        else:
            break
    if isinstance(seen, CodeType | str):
        return seen
    code = getattr(seen, "__code__", None)
    if isinstance(code, CodeType):
        return code
    name = getattr(seen, "__qualname__", None)
    return name if isinstance(name, str) else type(seen).__qualname__


def callable_name(func: object) -> str:
    """Return the qualified name of a callable, or of its identity."""
    known = identity_of(func)
    return known.co_qualname if type(known) is CodeType else str(known)


def definition(func: object) -> Site | None:
    """Return where a callable is defined, or None for one without Python code."""
    seen = func
    for _ in range(8):  # partials and decorated functions, a few levels
        inner = getattr(seen, "__wrapped__", None) or getattr(seen, "func", None)
        if inner is None:
            break
        seen = inner
    code = seen if isinstance(seen, CodeType) else getattr(getattr(seen, "__func__", seen), "__code__", None)
    if isinstance(code, CodeType):
        return Site(code.co_qualname, code.co_filename, code.co_firstlineno)
    return None


def render(frames: list[Frame]) -> str:
    """Return a stack as text, outermost first, in the order of a Python traceback; without source lines."""
    return "\n".join(
        f'File "{frame.code.co_filename}", line {frame.line}, in {frame.code.co_qualname}'
        for frame in reversed(frames[:MAX_STACK])
    )
