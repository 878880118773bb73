"""Run a Dockerfile's steps without a container engine, in root folders made by debootstrap.

`FROM debian:NAME-slim` is a minimal root of that release; RUN is a chroot; COPY reads the files that git knows and
that `.dockerignore` lets through. What a step downloads comes from the registries as this machine reaches them.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.compat.pythons import UnavailableError, mirror
from tests.deploy.outcome import CheckFailedError, NotRunError, program, run
from tests.e2e.environments import alone, cache
from tests.tools import ROOT

DOCKERFILE: Final = ROOT / "deploy/docker/Dockerfile"
REGISTRY_VARIABLES: Final = re.compile(
    r"(?i)^(PIP_|UV_|NPM_CONFIG_|NODE_EXTRA_|SSL_CERT_|REQUESTS_CA_|\w+_PROXY$)"
)
"""Variables of this machine by which its package clients find their registries."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """A stage of the Dockerfile: a root folder, and what is set for processes in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)


def build(target: str, folder: Path) -> Stage:
    """Run the steps of a stage, and of those that it needs, and return it.

    Raises:
        CheckFailedError: a step failed, or has an instruction that this module does not know.
        NotRunError: there is no debootstrap.
    """
    stages: dict[str, Stage] = {}
    for name in _needed(target):
        origin, steps = _stages()[name]
        base = stages.get(origin)
        root = folder / f"stage-{name}"
        source = base.root if base else debian(origin)
        run(["cp", "-a", "--reflink=auto", f"{source}/.", str(_made(root))])
        stage = Stage(root)
        if base:
            stage.environment, stage.folder, stage.user = dict(base.environment), base.folder, base.user
            stage.entrypoint, stage.command, stage.health = base.entrypoint, base.command, base.health
            stage.ports = base.ports
        for instruction, rest in steps:
            _step(stage, stages, instruction, rest)
        stages[name] = stage
    return stages[target]


def _stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return each stage's name, what it is made from, and its instructions."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for line in filter(str.strip, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            origin, _, name = rest.split()
            found[name] = (re.sub(r"^debian:(\w+)-slim$", r"\1", origin), [])
        else:
            found[name][1].append((instruction, rest.strip()))
    return found


def _needed(target: str) -> list[str]:
    """Return the stages that a target is made of, in their order."""
    found = _stages()
    wanted = [target]
    for name in wanted:
        origin, steps = found[name]
        others = [origin, *re.findall(r"--from=(\S+)", " ".join(rest for _, rest in steps))]
        wanted += [each for each in others if each in found]
    return [name for name in found if name in wanted]


def _step(stage: Stage, stages: dict[str, Stage], instruction: str, rest: str) -> None:  # noqa: C901 - one case each
    match instruction:
        case "RUN":
            _run_in(stage, rest)
        case "COPY":
            _copy(stage, stages, shlex.split(rest))
        case "ENV":
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                stage.environment[key] = value
        case "WORKDIR":
            stage.folder = rest
            _made(stage.root / rest.lstrip("/"))
        case "USER":
            stage.user = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "EXPOSE":
            stage.ports = [int(port) for port in rest.split()]
        case "HEALTHCHECK":
            stage.health = json.loads(rest.partition("CMD ")[2])
        case "VOLUME" | "STOPSIGNAL":
            pass
        case _:
            raise CheckFailedError(f"{DOCKERFILE.name} has {instruction}, which tests/deploy does not know")


def _run_in(stage: Stage, command: str) -> None:
    """Run a command in a stage, in namespaces of its own with /proc and /dev as a container's engine gives them."""
    inside = f"cd {stage.folder} && {command}"
    with _registries(stage.root) as variables:
        run(
            contained(stage, ["/bin/sh", "-c", inside], user="0:0", read_only=False),
            env={**variables, **stage.environment, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"},
            seconds=1800,
        )


def contained(stage: Stage, command: list[str], *, user: str, read_only: bool) -> list[str]:
    """Return a command that runs another in a stage, as PID 1, with /proc, /dev and a writable /data.

    Processes of another user than root have no capabilities.
    """
    root = shlex.quote(str(stage.root))
    data = f"mount --bind {root}/data {root}/data; mount -o remount,bind,ro {root}; " if read_only else ""
    script = (
        f"set -e; mount --bind {root} {root}; mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev; {data}"
        f"cd /; exec chroot --userspec={user} --groups= {root} {shlex.join(command)}"
    )
    unshare = program("unshare", "util-linux")
    return [unshare, "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]


def _copy(stage: Stage, stages: dict[str, Stage], words: list[str]) -> None:
    *sources, target = words
    place = stage.root / (target if target.startswith("/") else f"{stage.folder}/{target}").lstrip("/")
    if sources[0].startswith("--from="):
        other = stages[sources.pop(0).removeprefix("--from=")]
        (source,) = sources
        run(["cp", "-a", f"{other.root}{source}", str(_made(place.parent))])
        return
    for source in sources:
        for name in _context():
            if name == source or name.startswith(f"{source}/"):
                inner = Path(name).relative_to(source)
                copied = place if target.rstrip("/") == target and str(inner) == "." else place / inner
                copied = place / name if target in {".", "./"} else copied
                shutil.copy(ROOT / name, _made(copied.parent) / copied.name)


def _context() -> list[str]:
    """Return the files of the build's context: those of git that `.dockerignore` lets through."""
    kept, dropped = [], []
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            kept.append(line[1:])
        elif line and line != "*" and not line.startswith("#"):
            dropped.append(line)
    listed = run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT).split()
    return [
        name
        for name in listed
        if (ROOT / name).is_file()
        and any(name == each or name.startswith(f"{each}/") for each in kept)
        and not any(name.startswith(f"{each}/") for each in dropped)
    ]


def debian(release: str) -> Path:
    """Return a minimal root folder of a release of Debian, made once."""
    root = cache() / f"debian-{release}-slim"
    with alone(root.with_suffix(".lock")):
        if not (root.parent / f"{root.name}.complete").exists():
            debootstrap = program("debootstrap", "debootstrap")
            shutil.rmtree(root, ignore_errors=True)
            try:
                run([debootstrap, "--variant=minbase", release, str(root), mirror()], seconds=1800)
            except UnavailableError as error:
                raise NotRunError(str(error)) from None
            # What Debian's slim images leave out.
            for name in (
                "var/cache/apt",
                "var/lib/apt/lists",
                "usr/share/doc",
                "usr/share/man",
                "usr/share/locale",
            ):
                shutil.rmtree(root / name, ignore_errors=True)
                (root / name).mkdir(parents=True)
            # And what they add: apt keeps neither packages nor its caches.
            (root / "etc/apt/apt.conf.d/docker-clean").write_text(
                'APT::Keep-Downloaded-Packages "false";\n'
                'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
                'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'
            )
            (root.parent / f"{root.name}.complete").touch()
    return root


@contextlib.contextmanager
def _registries(root: Path) -> Iterator[dict[str, str]]:
    """Let package clients in a root find their registries as they do outside; nothing of it stays.

    Yields the variables to set. Files that they name, and pip's configuration, are there meanwhile.
    """
    variables = {name: value for name, value in os.environ.items() if REGISTRY_VARIABLES.match(name)}
    paths = [Path(value) for value in variables.values() if value.startswith("/")]
    paths += [
        Path(each) for each in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
    ]
    kept: list[tuple[Path, bytes | None]] = []
    for path in paths:
        inside = root / str(path).lstrip("/")
        if path.is_file():
            kept.append((inside, inside.read_bytes() if inside.is_file() else None))
            _made(inside.parent)
            inside.write_bytes(path.read_bytes())
    try:
        yield variables
    finally:
        for inside, before in kept:
            if before is None:
                inside.unlink(missing_ok=True)
            else:
                inside.write_bytes(before)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
