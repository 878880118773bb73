"""Check the image without a container engine: build it by its Dockerfile's steps, measure it, start it.

It is started as by a container's engine: another user, PID 1 of a namespace, a read-only root, one volume.
"""

import os
import platform
import re
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.deploy.dockerfile import Stage, build, contained, debian
from tests.deploy.outcome import CheckFailedError, NotRunError, require, run
from tests.servers import free_port

MIB: Final = 1 << 20
READY_SECONDS: Final = 180


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
        base = _size(debian("trixie"))
        whole = _size(built.root)
        packed = _packed(built.root, folder / "image.tar.gz")
        started = _start(built, folder, settings, ready=target == "embedded")
    return f"{whole} MiB unpacked, {packed} MiB as tar.gz (Debian alone {base} MiB); {started}"


def _size(root: Path) -> int:
    """Return the size of a folder's files in MiB; a file with several names counts once."""
    seen = {}
    for path in root.rglob("*"):
        status = path.lstat()
        seen[status.st_ino, status.st_dev] = status.st_size
    return sum(seen.values()) // MIB


def _packed(root: Path, target: Path) -> int:
    """Return the size of a root folder as a registry keeps it, in MiB."""
    run(["tar", "--create", "--gzip", "--file", str(target), "--directory", str(root), "."])
    size = target.stat().st_size // MIB
    target.unlink()
    return size


# --- running ---------------------------------------------------------------------------------------------


def _start(stage: Stage, folder: Path, settings: dict[str, str], *, ready: bool) -> str:
    """Start the image as a container would be, and check it from inside and outside."""
    user, group = stage.user.split(":")
    require(user != "0", "the image runs as root")
    require(stage.ports == [4318, 4317], f"the image names ports {stage.ports}")
    # Without tokens and a login it refuses to listen on all addresses.
    refused = subprocess.run(
        _contained(stage, [*stage.entrypoint, *stage.command]),
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
            _contained(stage, [*stage.entrypoint, *stage.command]),
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
    secrets = stage.root / "run/secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("ingest_tokens", "0123456789abcdef0123456789abcdef\n"),
        ("users", _user(stage)),
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
            _contained(stage, [*stage.entrypoint, *stage.command]),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            asked = subprocess.run(
                _contained(stage, health),
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


def _user(stage: Stage) -> str:
    """Return a line for the file of users, as the image's own command prints it."""
    done = subprocess.run(
        _contained(stage, [*stage.entrypoint, "password", "ann"]),
        env=stage.environment,
        input="correct horse battery staple\n",
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, f"password: {done.stderr[-500:]}")
    return done.stdout


def _contained(stage: Stage, command: list[str]) -> list[str]:
    """Return a command that runs another in the image as a container's engine would."""
    inside = f"cd {stage.folder} && exec {shlex.join(command)}"
    return contained(stage, ["/bin/sh", "-c", inside], user=stage.user, read_only=True)


def _child_of(pid: int) -> int:
    """Return the process that `unshare --fork` started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    require(len(children) == 1, f"unshare has {len(children)} children")
    return int(children[0])
