"""Build the image without a container engine: run the Dockerfile's steps in root folders made by debootstrap.

`FROM debian:NAME-slim` is a minimal root of that release; RUN is a chroot; COPY reads the files that git knows and
that `.dockerignore` lets through. What a step downloads comes from the registries as this machine reaches them. The
image is then started as by a container's engine: another user, PID 1 of a namespace, a read-only root, one volume.
"""

import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.compat.pythons import UnavailableError, mirror
from tests.deploy.outcome import CheckFailedError, NotRunError, program, require, run
from tests.e2e.environments import alone, cache
from tests.servers import free_port
from tests.tools import ROOT

DOCKERFILE: Final = ROOT / "deploy/docker/Dockerfile"
REGISTRY_VARIABLES: Final = re.compile(
    r"(?i)^(PIP_|UV_|NPM_CONFIG_|NODE_EXTRA_|SSL_CERT_|REQUESTS_CA_|\w+_PROXY$)"
)
"""Variables of this machine by which its package clients find their registries."""
MIB: Final = 1 << 20
READY_SECONDS: Final = 180
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


def embedded() -> str:
    """Build the image with the embedded engine and start it."""
    return _check("embedded", {})


def server() -> str:
    """Build the image without the engine, see that it asks for a server, and start it in front of none."""
    return _check("server", {"ASGISCOPE_COLLECTOR_STORE": "clickhouse://asgiscope@127.0.0.1:1/asgiscope"})


def _check(target: str, settings: dict[str, str]) -> str:
    if platform.system() != "Linux" or os.getuid() != 0:
        raise NotRunError("chroot needs Linux and root")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        built = build(target, folder)
        base = _size(_debian("trixie"))
        whole = _size(built.root)
        packed = _packed(built.root, folder / "image.tar.gz")
        started = _start(built, folder, settings, ready=target == "embedded")
    return f"{whole} MiB unpacked, {packed} MiB as tar.gz (Debian alone {base} MiB); {started}"


# --- building --------------------------------------------------------------------------------------------


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
        source = base.root if base else _debian(origin)
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
    with _registries(stage.root) as variables:
        run(
            ["chroot", str(stage.root), "/bin/sh", "-c", f"cd {stage.folder} && {command}"],
            env={**variables, **stage.environment, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"},
            seconds=1800,
        )


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


def _debian(release: str) -> Path:
    """Return a minimal root folder of a release of Debian, made once."""
    root = cache() / f"debian-{release}-minimal"
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


def _size(root: Path) -> int:
    """Return the size of a folder's files in MiB; a file with several names counts once."""
    seen = {}
    for path in root.rglob("*"):
        status = path.lstat()
        seen[status.st_ino, status.st_dev] = status.st_size
    return sum(seen.values()) // MIB


def _packed(root: Path, target: Path) -> int:
    """Return the size of a root folder as a registry keeps it, in MiB."""
    with tarfile.open(target, "w:gz", compresslevel=6) as packed:
        packed.add(root, arcname=".", filter=lambda each: None if each.isdev() else each)
    size = target.stat().st_size // MIB
    target.unlink()
    return size


# --- running ---------------------------------------------------------------------------------------------


def _start(stage: Stage, folder: Path, settings: dict[str, str], *, ready: bool) -> str:
    """Start the image as a container would be, and check it from inside and outside."""
    user, group = stage.user.split(":")
    require(user != "0", "the image runs as root")
    require(stage.ports == [4318, 4317], f"the image names ports {stage.ports}")
    unshare = program("unshare", "util-linux")
    # Without tokens and a login it refuses to listen on all addresses.
    refused = subprocess.run(
        _contained(unshare, stage, [*stage.entrypoint, *stage.command]),
        env=stage.environment | settings,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    require(refused.returncode == 1, f"without tokens: {refused.returncode}: {refused.stderr[-500:]}")
    require("name a file of tokens" in refused.stderr, f"without tokens: {refused.stderr[-500:]}")
    if not ready:
        missing = subprocess.run(
            _contained(unshare, stage, [*stage.entrypoint, *stage.command]),
            env={**stage.environment, "ASGISCOPE_COLLECTOR_HOST": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
        require(
            "the embedded engine is not installed" in missing.stderr, f"no engine: {missing.stderr[-500:]}"
        )

    port = free_port()
    secrets = _made(stage.root / "run/secrets")
    for name, text in (
        ("ingest_tokens", "0123456789abcdef0123456789abcdef\n"),
        ("users", _user(unshare, stage)),
    ):
        (secrets / name).write_text(text)
        os.chown(secrets / name, int(user), int(group))
        (secrets / name).chmod(0o400)
    environment = {
        **stage.environment,
        **settings,
        "ASGISCOPE_COLLECTOR_PORT": str(port),
        "ASGISCOPE_COLLECTOR_INGEST_TOKENS": "/run/secrets/ingest_tokens",
        "ASGISCOPE_COLLECTOR_USERS_FILE": "/run/secrets/users",
    }
    log = folder / "container.log"
    health = [*stage.health, "--ready"] if ready else stage.health
    with log.open("wb") as output:
        running = subprocess.Popen(
            _contained(unshare, stage, [*stage.entrypoint, *stage.command]),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            asked = subprocess.run(
                _contained(unshare, stage, health),
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.returncode == 0:
                break
            if running.poll() is not None or time.monotonic() > deadline:
                raise CheckFailedError(f"{shlex.join(health)}: {asked.stderr}\n{log.read_text()[-3000:]}")
            time.sleep(1)
        inside = _child_of(running.pid)
        status = Path(f"/proc/{inside}/status").read_text()
        require(f"Uid:\t{user}\t{user}" in status, f"the process is not of user {user}")
        require(
            re.search(r"^NSpid:.*\t1$", status, re.MULTILINE), "the process is not PID 1 of its namespace"
        )
        mounts = Path(f"/proc/{inside}/mounts").read_text()
        require(re.search(r"^\S+ / \S+ ro[,\s]", mounts, re.MULTILINE), f"the root can be written:\n{mounts}")
        os.kill(inside, signal.SIGTERM)
        require(running.wait(60) == 0, f"SIGTERM: {running.returncode}\n{log.read_text()[-2000:]}")
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    after = "ready" if ready else "alive without its server"
    return f"user {user}, PID 1, read-only root, one volume: {after} by its health check, stops on SIGTERM"


def _user(unshare: str, stage: Stage) -> str:
    """Return a line for the file of users, as the image's own command prints it."""
    done = subprocess.run(
        _contained(unshare, stage, [*stage.entrypoint, "password", "ann"]),
        env=stage.environment,
        input="correct horse battery staple\n",
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, f"password: {done.stderr[-500:]}")
    return done.stdout


def _contained(unshare: str, stage: Stage, command: list[str]) -> list[str]:
    """Return a command that runs another in the stage: as its user, with a read-only root and a writable /data."""
    root = shlex.quote(str(stage.root))
    inside = f"cd {stage.folder} && exec {shlex.join(command)}"
    # Processes of another user than root have no capabilities after exec.
    script = (
        f"set -e; mount --bind {root} {root}; mount -t proc proc {root}/proc; "
        f"mount --bind {root}/data {root}/data; mount --rbind /dev {root}/dev; "
        f"mount -o remount,bind,ro {root}; cd /; "
        f"exec chroot --userspec={stage.user} --groups= {root} /bin/sh -c {shlex.quote(inside)}"
    )
    return [unshare, "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]


def _child_of(pid: int) -> int:
    """Return the process that `unshare --fork` started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    require(len(children) == 1, f"unshare has {len(children)} children")
    return int(children[0])
