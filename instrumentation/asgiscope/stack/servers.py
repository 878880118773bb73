"""The server of the site: the program that started the process, its server and its event loop.

Their frames are below every request, so none of them is a call site. They are detected from the process, not
by a list of names:

- the console script or the module that started it (`sys.argv[0]`): a script in an environment's scripts
  folder is a launcher; the distribution that declares it, and its requirements, are the server;
- the package of the event loop's class;
- at the first request of a loop, the packages on the stack around the application: whatever called it.

Overhead model: the metadata is read once, when asgiscope is installed; each loop and its first request once.
Known limitation: a server that the site starts from its own code is known only from the first request on.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

_SITE_PACKAGES: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_NOT_SERVERS: Final = frozenset({"django", "asgiref", "asgiscope", "channels"})
"""Their own commands start processes, or their routers pass requests on: their requirements are not servers.
"""
_MAX_FRAMES: Final = 128

_packages: set[str] = set()
"""Import names of the packages that serve this process. Only grows: single additions need no lock."""


def package_of(path: str) -> str:
    """Return the import name of the installed package of a file, '' for any other file."""
    for marker in _SITE_PACKAGES:
        _, found, inside = path.rpartition(marker)
        if found:
            return inside.split(os.sep, 1)[0].removesuffix(".py")
    return ""


def is_server(package: str) -> bool:
    """Return whether an installed package serves this process."""
    return package in _packages


def is_launcher(path: str) -> bool:
    """Return whether a file is in a scripts folder: it started a program and belongs to no package."""
    return path.startswith(_script_folders())


_folders: tuple[str, ...] = ()


def _script_folders() -> tuple[str, ...]:
    global _folders  # noqa: PLW0603 - a cache
    if not _folders:
        known = {sysconfig.get_path("scripts"), os.path.dirname(sys.executable or "")}  # noqa: PTH120
        _folders = tuple(os.path.abspath(folder) + os.sep for folder in known if folder)  # noqa: PTH100
    return _folders


_recognised = False


def recognise_process() -> None:
    """Detect the server from the script or module that started this process, once. Never raises."""
    global _recognised  # noqa: PLW0603 - a process is started once
    if _recognised:
        return
    _recognised = True
    with suppress(Exception):  # broken metadata of any package: the first request still detects the server
        _packages.update(started_by(sys.argv[0] if sys.argv else "") - _site_packages())


def started_by(script: str) -> set[str]:
    """Return the import names of the packages that a script (`sys.argv[0]`) belongs to or requires."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, used once

    path = os.path.abspath(script)  # noqa: PTH100 - the link in the scripts folder counts
    module = package_of(path)
    if module:  # `python -m server`
        owners = _owners(module)
        found = {module}
    else:
        name = Path(path).name.removesuffix(".exe").removesuffix("-script.py")
        # A command of the same name may be anywhere; without a folder it was found on the PATH.
        scripts = metadata.entry_points(group="console_scripts", name=name) if is_launcher(path) else ()
        owners = [point.dist.name for point in scripts if point.dist is not None]
        found = {point.module.split(".")[0] for point in scripts}
    for owner in owners:
        found |= _import_names(owner)
        if owner.lower() not in _NOT_SERVERS:
            for required in metadata.requires(owner) or ():
                if "extra ==" not in required:
                    found |= _import_names(_project_name(required))
    return found


def _owners(module: str) -> Sequence[str]:
    """Return the distributions that install a module; try the module's own name first, because a search is slow."""
    from importlib import metadata  # noqa: PLC0415

    try:
        return (metadata.distribution(module).name,)
    except metadata.PackageNotFoundError:
        return metadata.packages_distributions().get(module, ())


def _project_name(requirement: str) -> str:
    """Return the project name in a requirement (`h11>=0.8; python_version > "3"`)."""
    end = next((at for at, char in enumerate(requirement) if not (char.isalnum() or char in "-_.")), None)
    return requirement[:end]


def _import_names(project: str) -> set[str]:
    """Return what a distribution installs at the top of site-packages, empty if it is not installed."""
    from importlib import metadata  # noqa: PLC0415

    try:
        files = metadata.distribution(project).files or ()
    except metadata.PackageNotFoundError:
        return set()
    tops = {(file.parts[0], len(file.parts)) for file in files if file.suffix == ".py"}
    return {top.removesuffix(".py") for top, depth in tops if top != ".." and not (depth > 1 and "." in top)}


def recognise_loop(loop: object) -> bool:
    """Detect the packages of an event loop's class; return whether any of them is new."""
    names = {base.__module__.split(".")[0] for base in type(loop).__mro__}
    return _learn(name for name in names if name not in sys.stdlib_module_names)


def recognise_callers(frame: FrameType | None) -> bool:
    """Detect the server from the stack around a call of the ASGI application; return whether anything is new.

    Every installed package on it has passed the request on: the server, its dependencies, middleware around
    the application.
    """
    found: list[str] = []
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        found.append(package_of(os.path.abspath(frame.f_code.co_filename)))  # noqa: PTH100
        frame = frame.f_back
    return _learn(filter(None, found))


def _learn(names: Iterable[str]) -> bool:
    new = set(names) - _packages - _NOT_SERVERS - _site_packages()
    _packages.update(new)
    return bool(new)


def _site_packages() -> set[str]:
    """Return the packages that are the site itself, wherever they are installed and whatever started it."""
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return {settings.split(".")[0]} if settings else set()
