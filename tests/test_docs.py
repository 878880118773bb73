"""Texts are true where that can be checked: settings, paths, links, code blocks, commands and their flags."""

import argparse
import ast
import dataclasses
import itertools
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import asgiscope.cli
import asgiscope_collector.__main__
import pytest
from asgiscope.config import PREFIX, Config
from asgiscope_collector.settings import Settings

from tests.tools import ROOT

README = ROOT / "instrumentation/README.md"


def settings_table() -> list[str]:
    """Return the table of settings as config.py has it: variable, default, meaning."""
    tree = ast.parse((ROOT / "instrumentation/asgiscope/config.py").read_text())
    (config,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Config"]
    meanings = {}
    for statement, text in itertools.pairwise(config.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            assert isinstance(text, ast.Expr), name
            assert isinstance(text.value, ast.Constant), name
            meanings[name] = re.sub(r"\s+", " ", str(text.value.value)).strip()
    rows = []
    for field in dataclasses.fields(Config):
        default = int(field.default) if isinstance(field.default, bool) else field.default
        shown = f"{default:g}" if isinstance(default, float) else f"{default}"
        cell = f"`{shown}`" if shown else "empty"
        rows.append(f"| `{PREFIX}{field.name.upper()}` | {cell} | {meanings[field.name]} |")
    return rows


def test_every_setting_is_documented() -> None:
    """Name, default and meaning, in the order of config.py. The right table is in the message."""
    table = settings_table()
    written = [line for line in README.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert written == table, "instrumentation/README.md should have:\n" + "\n".join(table)


def test_no_text_installs_a_package_that_is_not_published() -> None:
    """Until a release exists, a package of our name on an index would be somebody else's."""
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("*/*.md"),
        *ROOT.glob("*/*/*.md"),
        *ROOT.glob("dashboard/src/**/*.ts*"),
    ]
    texts = [text for text in texts if "node_modules" not in text.parts and ".venv" not in text.parts]
    assert len(texts) > 50
    published = re.compile(r"pip install (?:-\S+ )*['\"]?asgiscope")
    assert [str(text.relative_to(ROOT)) for text in texts if published.search(text.read_text())] == []


def test_every_make_target_is_in_make_help_and_contributing_names_real_ones() -> None:
    """`make help` is made of the comments beside the targets."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    targets = {target for line in phony for target in line.split()}
    described = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    assert described == targets
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`make ([a-z0-9-]+)", contributing))
    assert named
    assert named <= targets


# --- ARCHITECTURE.md -------------------------------------------------------------------------------------


def test_architecture_has_at_most_250_lines() -> None:
    """A longer one is not read. Measurements belong into docs/performance-log.md."""
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 250


def test_architecture_names_every_folder_of_the_packages() -> None:
    """By its path within the package."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = ("instrumentation/asgiscope/", "collector/asgiscope_collector/")
    folders = {
        name.removeprefix(package).rpartition("/")[0]
        for package in packages
        for name in tracked()
        if name.startswith(package)
    } - {""}
    assert len(folders) > 30
    assert sorted(folder for folder in folders if f"`{folder}`" not in text) == []


# --- paths and links -------------------------------------------------------------------------------------

_ROOTS = (
    "",
    "instrumentation/asgiscope/",
    "collector/asgiscope_collector/",
    "dashboard/",
    "dashboard/src/",
    "deploy/demo/",
    "tests/",
)
"""Where a path in a text may begin, beside the folder of the text itself."""
_USERS_FILES = {
    "__init__.py",
    "apps.py",
    "asgi.py",
    "manage.py",
    "settings.py",
    "test_orders.py",
    "alerts.yaml",
}
"""Files of a reader's own project."""
_MADE_FOLDERS = {"rejected/", "screenshots/", "dist/", "static/"}
"""Folders that a run or a build makes."""
_PATH = re.compile(r"(?<![\w/.:*-])((?:[\w.-]+/)*[\w-]+\.(?:py|sql|tsx?|yaml|proto|json))\b(?![\w/*])")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def tracked() -> list[str]:
    """Return every file of the repository, new ones too, that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [name for name in listed if (ROOT / name).exists()]


def documents() -> list[Path]:
    """Return every Markdown file, but for the log of changes, which names what is gone."""
    return [ROOT / name for name in tracked() if name.endswith(".md") and name != "CHANGELOG.md"]


def test_every_path_that_a_text_names_exists() -> None:
    """Modules, tests, schema files, folders. A name without a folder is that of some file of the repository."""
    files = tracked()
    names = {name.rpartition("/")[2] for name in files} | _USERS_FILES
    missing = []
    for document in documents():
        own = str(document.parent.relative_to(ROOT)).removeprefix(".")
        roots = (*_ROOTS, f"{own}/" if own else "")
        for path in _PATH.findall(_LINK.sub(r"\1", document.read_text())):
            known = path in names if "/" not in path else any((ROOT / root / path).exists() for root in roots)
            if not known and not path.endswith("NAME.py"):
                missing.append(f"{document.relative_to(ROOT)}: {path}")
        missing += [
            f"{document.relative_to(ROOT)}: {folder}"
            for folder in re.findall(r"`([a-z_][\w/-]*/)`", document.read_text())
            if folder not in _MADE_FOLDERS and not any((ROOT / root / folder).is_dir() for root in roots)
        ]
    assert missing == []


def test_every_link_leads_to_a_file_and_to_what_its_text_names() -> None:
    """`[`name`](module.py)`: the module defines that name, or its last part."""
    broken = []
    for document in documents():
        for shown, target in _LINK.findall(document.read_text()):
            if re.match(r"[a-z]+:|#", target):
                continue
            file = (document.parent / target.partition("#")[0]).resolve()
            name = re.fullmatch(r"`(?:\w+\.)*(\w+)`", shown)
            if not file.exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
            elif name and file.suffix == ".py" and name[1] != file.stem:
                defined = rf"^\s*(?:async )?(?:def|class) {name[1]}\b|^{name[1]}\b.*="
                if not re.search(defined, file.read_text(), re.MULTILINE):
                    broken.append(f"{document.relative_to(ROOT)}: {shown} is not defined in {target}")
    assert broken == []


# --- code blocks and commands ----------------------------------------------------------------------------

COMMANDS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "asgiscope": asgiscope.cli._parser,
    "asgiscope-collector": asgiscope_collector.__main__._parser,
}


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """Return each code block with its language: those between fences, and those that are indented ("sh")."""
    text = document.read_text()
    for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield language or "sh", code
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"(?:(?<=\n\n)|^)((?:    \S.*\n(?:\n(?=    ))?)+)", rest):
        yield "sh", re.sub(r"^    ", "", code, flags=re.MULTILINE)


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Return every command of a shell block or of a code span of a text: where it stands, and its words."""
    for document in documents():
        found = [code for language, code in blocks(document) if language == "sh"]
        prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        found += [
            re.sub(r"\s+", " ", span)
            for span in re.findall(r"`([^`]+)`", prose)
            if span.partition(" ")[0] in ("make", *COMMANDS) and " " in span and "|" not in span
        ]
        for code in found:
            for line in re.sub(r"\\\n\s*", " ", code).splitlines():
                if _COMMAND.match(line):
                    yield str(document.relative_to(ROOT)), shlex.split(line, comments=True)


_COMMAND: Final = re.compile(r"(?:\w+=\S+ |uv run --all-packages )*(?:make|asgiscope|asgiscope-collector) ")
"""A line that runs one of ours, perhaps with variables before it."""


def test_python_in_texts_compiles() -> None:
    """Of the READMEs, the alerts' and the docs'."""
    found = [
        (document, code)
        for document in documents()
        for language, code in blocks(document)
        if language == "python"
    ]
    assert len(found) >= 4
    for document, code in found:
        compile(code, str(document), "exec")


def test_make_targets_in_texts_exist() -> None:
    """`make X`, in blocks and in sentences."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = [
        (where, word)
        for where, words in command_lines()
        if "make" in words
        for word in words[words.index("make") + 1 :]
        if re.fullmatch(r"[a-z0-9-]+", word)
    ]
    assert len(named) > 10
    assert [each for each in named if each[1] not in targets] == []


def test_commands_in_texts_are_accepted_by_the_parsers(capsys: pytest.CaptureFixture[str]) -> None:
    """Subcommands, flags and arguments of `asgiscope` and `asgiscope-collector`."""
    seen, refused = Counter[str](), []
    for where, words in command_lines():
        at = next((number for number, word in enumerate(words) if word in COMMANDS), None)
        if at is None:
            continue
        arguments = list(
            itertools.takewhile(lambda word: word not in {">>", ">", "&", "|", "&&"}, words[at + 1 :])
        )
        seen[words[at]] += 1
        try:
            COMMANDS[words[at]]().parse_args(arguments)
        except SystemExit as ended:
            if ended.code:
                refused.append(f"{where}: {' '.join(words)}: {capsys.readouterr().err.splitlines()[-1]}")
    assert refused == []
    assert min(seen["asgiscope"], seen["asgiscope-collector"]) >= 3


def test_variables_in_texts_are_settings() -> None:
    """`ASGISCOPE_*` and `ASGISCOPE_COLLECTOR_*`, wherever a text for users names one."""
    collector = {f"ASGISCOPE_COLLECTOR_{each.name.upper()}" for each in dataclasses.fields(Settings)}
    known = collector | {f"{PREFIX}{each.name.upper()}" for each in dataclasses.fields(Config)}
    source = "\n".join((ROOT / name).read_text() for name in tracked() if name.endswith((".py", ".ts")))
    # What is no setting is a variable that some command, test or build reads by that name.
    known |= {"ASGISCOPE_COLLECTOR"} | set(re.findall(r"[\"'](ASGISCOPE_[A-Z_]+)[\"']", source))
    unknown = [
        f"{document.relative_to(ROOT)}: {name}"
        for document in documents()
        for name in re.findall(r"\bASGISCOPE_[A-Z_]*[A-Z]\b(?!_|\*)", document.read_text())
        if name not in known
    ]
    assert unknown == []


def test_every_setting_of_the_collector_is_documented_with_its_default() -> None:
    """Name and default, in the order of settings.py."""
    readme = (ROOT / "collector/README.md").read_text()
    written = re.findall(r"^\| `([A-Z_`, ]+)` \| ([^|]*?) ?\| ", readme, re.MULTILINE)
    rows = [(name.strip("` ").lower(), default) for names, default in written for name in names.split(",")]
    assert rows == [(each.name, shown(each.default)) for each in dataclasses.fields(Settings)]


def shown(default: object) -> str:
    """Return a default as the collector's README writes it."""
    if isinstance(default, bool):
        return f"{default:d}"
    if isinstance(default, int) and default and default % (1 << 20) == 0:
        gib = default >> 30
        return f"{gib} GiB" if gib and default == gib << 30 else f"{default >> 20} MiB"
    return f"{default}"
