"""Which packages serve the site: by what started the process, its loop, and who calls the application."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from asgiscope.stack import call_site, servers
from asgiscope.stack.call_site import Owner

ENTRY = "[console_scripts]\nfastgate = fastgate.cli:main\n"
FILES = {
    "fastgate/__init__.py": "",
    "fastgate/cli.py": "def main(): ...",
    "wireproto/__init__.py": "",
    "optional.py": "",
    "fastgate_server-1.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: fastgate-server\nVersion: 1\n"
        'Requires-Dist: wire-proto>=2\nRequires-Dist: not-installed\nRequires-Dist: optional; extra == "more"\n'
    ),
    "fastgate_server-1.dist-info/entry_points.txt": ENTRY,
    "fastgate_server-1.dist-info/RECORD": "../../bin/fastgate,,\nfastgate/__init__.py,,\nfastgate/cli.py,,\n",
    "wire_proto-2.dist-info/METADATA": "Metadata-Version: 2.1\nName: wire-proto\nVersion: 2\n",
    "wire_proto-2.dist-info/RECORD": "wireproto/__init__.py,,\n",
    "optional-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: optional\nVersion: 1\n",
    "optional-1.dist-info/RECORD": "optional.py,,\n",
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield an environment with a server that no list of ours could know."""
    packages = tmp_path / "lib" / "site-packages"
    for name, text in FILES.items():
        file = packages / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(servers, "_folders", (f"{tmp_path}/bin/",))
    monkeypatch.setattr(servers, "_packages", set())
    call_site.configure("")
    yield tmp_path
    monkeypatch.undo()
    call_site.configure("")


def code_in(file: Path | str) -> CodeType:
    """Code that says it was compiled from this file."""
    return compile("0", str(file), "exec")


@pytest.mark.parametrize("script", ["bin/fastgate", "lib/site-packages/fastgate/__main__.py"])
def test_the_distribution_of_the_starting_script_and_its_requirements_are_the_server(
    environment: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """By console script and by `python -m`; an extra and what is not installed are left out."""
    monkeypatch.setattr(sys, "argv", [str(environment / script)])
    monkeypatch.setattr(servers, "_recognised", False)
    call_site.configure("")
    packages = environment / "lib" / "site-packages"
    assert call_site.owner(code_in(packages / "fastgate" / "server.py")) is Owner.FRAMEWORK
    assert call_site.owner(code_in(packages / "wireproto" / "parse.py")) is Owner.FRAMEWORK
    assert call_site.owner(code_in(packages / "optional.py")) is Owner.THIRD_PARTY
    assert call_site.owner(code_in(environment / "bin" / "fastgate")) is Owner.BOUNDARY
    assert call_site.owner(code_in(environment / "project" / "bin" / "report.py")) is Owner.APPLICATION


def test_a_script_elsewhere_with_a_servers_name_is_not_that_server(environment: Path) -> None:
    """A project may have a file of any name."""
    assert servers.started_by(str(environment / "project" / "fastgate")) == set()


def test_an_installed_site_that_starts_itself_is_not_its_own_server(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings module says which package is the site."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "fastgate.settings")
    monkeypatch.setattr(sys, "argv", [str(environment / "bin" / "fastgate")])
    monkeypatch.setattr(servers, "_recognised", False)
    call_site.configure("")
    assert not servers.is_server("fastgate")
    assert servers.is_server("wireproto")


def test_the_package_of_the_loop_and_those_around_the_application_serve(environment: Path) -> None:
    """A loop of any package, and a server that the site starts from its own code."""
    packages = environment / "lib" / "site-packages"
    module = ModuleType("quickloop.core")
    kind = type("Loop", (asyncio.SelectorEventLoop,), {"__module__": module.__name__})
    loop: Any = kind()
    loop.close()
    server = packages / "handmade" / "protocol.py"
    assert call_site.owner(code_in(server)) is Owner.THIRD_PARTY
    seen: dict[str, Any] = {"call": lambda frame: call_site.recognise_server(loop, frame), "sys": sys}
    exec(compile("call(sys._getframe())", str(server), "exec"), seen)  # noqa: S102 - a frame in that file
    assert call_site.owner(code_in(server)) is Owner.FRAMEWORK
    assert call_site.owner(code_in(packages / "quickloop" / "core.py")) is Owner.FRAMEWORK
    assert call_site.owner(code_in(packages / "django" / "core" / "handlers" / "asgi.py")) is Owner.LAYER
