"""What a user installs: the wheels are built, opened, and each installed alone."""

import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
