"""What a user installs: the wheels are built, opened, and each installed alone."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.environments import library_python
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare
from tests.tools import ROOT, uv

STATIC = "asgiscope_collector/static/"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, zipfile.ZipFile]]:
    """Both wheels, as `make build` makes them."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [uv(), "build", "--quiet", "--all-packages", "--wheel", "-o", str(out)], cwd=ROOT, check=True
    )
    opened = {path.name.split("-")[0]: zipfile.ZipFile(path) for path in out.glob("*.whl")}
    yield opened
    for wheel in opened.values():
        wheel.close()


def test_two_wheels(wheels: dict[str, zipfile.ZipFile]) -> None:
    """And no third."""
    assert set(wheels) == {"asgiscope", "asgiscope_collector"}


def test_the_collectors_wheel_holds_the_page(wheels: dict[str, zipfile.ZipFile]) -> None:
    """A user of the wheel needs no Node."""
    names = wheels["asgiscope_collector"].namelist()
    page = wheels["asgiscope_collector"].read(STATIC + "index.html").decode()
    assets = re.findall(r'(?:src|href)="\./([^"]+\.(?:js|css))"', page)
    assert {Path(asset).suffix for asset in assets} == {".js", ".css"}
    assert all(STATIC + asset in names for asset in assets)


def test_the_collectors_wheel_holds_its_schema(wheels: dict[str, zipfile.ZipFile]) -> None:
    """The SQL files are data, which a build can lose without a word."""
    shipped = {name for name in wheels["asgiscope_collector"].namelist() if name.endswith((".sql", ".proto"))}
    folder = ROOT / "collector"
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in {".sql", ".proto"}}
    assert shipped == there
    assert shipped


@pytest.mark.parametrize("name", ["asgiscope", "asgiscope_collector"])
def test_a_wheel_is_typed_and_holds_nothing_else(wheels: dict[str, zipfile.ZipFile], name: str) -> None:
    """`py.typed`, and no test, cache or foreign package."""
    names = wheels[name].namelist()
    assert f"{name}/py.typed" in names
    tops = {entry.split("/")[0] for entry in names}
    assert tops == {name, next(top for top in tops if top.endswith(".dist-info"))}
    parts = {part for entry in names for part in entry.split("/")}
    assert not [
        part for part in parts if part in {"__pycache__", "tests", "conftest.py"} or part.startswith("test_")
    ]


def test_the_version_stands_once_in_each_place() -> None:
    """In the package and in its metadata."""
    for folder, package in (("instrumentation", "asgiscope"), ("collector", "asgiscope_collector")):
        metadata = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["version"]
        source = (ROOT / folder / package / "__init__.py").read_text()
        assert f'__version__ = "{metadata}"' in source


def test_asgiscope_alone_installs_exactly_one_of_ours() -> None:
    """What runs in a site's process brings no collector, no engine and no Django of its own choosing."""
    plan = subprocess.run(
        [
            uv(),
            "export",
            "--quiet",
            "--frozen",
            "--package",
            "asgiscope",
            "--no-dev",
            "--no-hashes",
            "--no-header",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {re.split(r"[=\s;\[]", line)[0] for line in plan.splitlines() if line and line[0] not in " #"}
    assert "./instrumentation" in plan
    assert "collector" not in plan
    assert not names & {"django", "asgiref", "chdb-core-lite", "fastapi", "uvicorn", "clickhouse-connect"}


# --- installing ------------------------------------------------------------------------------------------


def clone_without_a_page(folder: Path, build_script: str) -> Path:
    """Make a clone of the collector's folder, with a script in the place of the one that builds the page."""
    shutil.copytree(
        ROOT / "collector", folder / "collector", ignore=shutil.ignore_patterns("static", "__pycache__")
    )
    if build_script:
        (folder / "dashboard").mkdir()
        (folder / "dashboard/build.py").write_text(build_script)
    return folder / "collector"


def build_wheel(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a wheel straight from the folder, as `pip install FOLDER` does."""
    return subprocess.run(
        [uv(), "build", "--wheel", "-o", str(out), str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_installing_from_a_clone_builds_the_page_that_is_missing(tmp_path: Path) -> None:
    """The hook runs dashboard/build.py, and the wheel holds what it makes."""
    script = (
        "from pathlib import Path\n"
        "static = Path(__file__).parents[1] / 'collector/asgiscope_collector/static'\n"
        "static.mkdir()\n(static / 'index.html').write_text('built now')\n"
    )
    done = build_wheel(clone_without_a_page(tmp_path, script), tmp_path)
    assert done.returncode == 0, done.stdout
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        assert wheel.read(STATIC + "index.html") == b"built now"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "install from a clone of the whole repository"),
        ("import sys\nsys.exit('npm is not installed.')\n", "the page cannot be built"),
    ],
)
def test_a_page_that_cannot_be_built_is_said_in_one_line(script: str, said: str, tmp_path: Path) -> None:
    """Nothing is installed that would serve no page."""
    done = build_wheel(clone_without_a_page(tmp_path, script), tmp_path)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout
    assert not script or "npm is not installed." in done.stdout


def environment_of(folder: Path, python: str, *requirements: str) -> Path:
    """Make a clean environment with the newest versions that uv resolves, and return its folder of programs."""
    subprocess.run([uv(), "venv", "--quiet", "--python", python, str(folder)], check=True)
    subprocess.run(
        [uv(), "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *requirements],
        cwd=folder,
        check=True,
    )
    return folder / "bin"


@pytest.mark.long
@pytest.mark.parametrize("python", ["this", "newest"])
def test_the_installed_wheels_start_and_find_what_blocks(
    python: str, wheels: dict[str, zipfile.ZipFile], tmp_path: Path
) -> None:
    """In two clean environments, of a collector and of a site, as docs/deploy.md and the READMEs say."""
    interpreter = sys.executable if python == "this" else library_python() or sys.executable
    files = {name: str(wheel.filename) for name, wheel in wheels.items()}
    service = environment_of(
        tmp_path / "service", interpreter, files["asgiscope"], files["asgiscope_collector"]
    )
    site = environment_of(tmp_path / "site", interpreter, files["asgiscope"], "django", "uvicorn")
    installed = {each.name.partition("-")[0] for each in site.parent.glob("lib/*/site-packages/*.dist-info")}
    assert "asgiscope" in installed
    assert "asgiscope_collector" not in installed
    port, data = free_port(), prepare(tmp_path / "data")
    with Server(
        [str(service / "asgiscope-collector"), "serve", "--port", str(port), "--data", str(data)],
        port,
        cwd=tmp_path,
        env=PROMPT,
        log=tmp_path / "collector.log",
        ready="/readyz",
        ready_status=200,
    ) as collector:
        asked = [str(service / "asgiscope-collector"), "health", "--ready", "--port", str(port)]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "ready\n"
        assert "<script" in httpx.get(collector.url, timeout=30).text
        shop = free_port()
        with Server(
            [str(site / "asgiscope"), "run", "--", "uvicorn", "minimal:application", "--port", str(shop)],
            shop,
            cwd=ROOT / "examples/minimal",
            env={
                "PATH": f"{site}{os.pathsep}{os.environ['PATH']}",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_SERVICE_NAME": "minimal",
            },
            log=tmp_path / "site.log",
            ready="/health/",
        ) as started:
            httpx.get(f"{started.url}/report/", timeout=30)
            wait_until(lambda: kinds(collector) == {"loop_blocked"})


def kinds(collector: Server) -> set[str]:
    """Return the kinds of the findings that a collector has."""
    found = httpx.get(f"{collector.url}/api/findings", timeout=30).json()["findings"]
    return {each["kind"] for each in found}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.1)
