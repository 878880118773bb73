"""Which mirror apt uses: read from its settings in either format."""

from pathlib import Path

import pytest

from tests.compat.pythons import UnavailableError, mirror

STANZAS = """\
# What the vendor adds.
Types: deb
URIs: https://packages.example/node
Suites: nodistro
Components: main

Types: deb deb-src
# Replaced by a mirror.
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
LINES = """\
# deb http://commented.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb [signed-by=/usr/share/keyrings/archive.gpg arch=amd64] http://mirror.example/debian bookworm main contrib
"""


def etc_of(folder: Path, name: str, text: str, *, system: str = "debian") -> Path:
    """Return a folder like /etc with one file of apt's."""
    (folder / "os-release").write_text(f'NAME="Some Linux"\nID={system}\nVERSION_CODENAME=bookworm\n')
    file = folder / "apt" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", LINES),
        ("sources.list.d/debian.list", LINES),
        ("sources.list.d/debian.sources", STANZAS),
    ],
)
def test_the_mirror_is_the_one_of_this_release(tmp_path: Path, name: str, text: str) -> None:
    """Not that of security updates or of another vendor, and not one in a comment."""
    assert mirror(etc_of(tmp_path, name, text)) == "http://mirror.example/debian"


@pytest.mark.parametrize(("system", "text"), [("ubuntu", LINES), ("debian", "")])
def test_a_machine_without_a_debian_mirror_is_refused_in_one_line(
    tmp_path: Path, system: str, text: str
) -> None:
    """Debian's packages come from no other system's mirror."""
    with pytest.raises(UnavailableError, match=r"^apt names no mirror of Debian here$"):
        mirror(etc_of(tmp_path, "sources.list", text, system=system))


def test_a_system_without_os_release_is_refused(tmp_path: Path) -> None:
    """As macOS."""
    with pytest.raises(UnavailableError, match="no Debian"):
        mirror(tmp_path)
