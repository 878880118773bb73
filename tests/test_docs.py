"""What the documents say is so: settings are in the table, and the examples run."""

import ast
import dataclasses
import itertools
import re

from asgiscope.config import PREFIX, Config

from tests.tools import ROOT

README = ROOT / "instrumentation/README.md"


def settings_table() -> list[str]:
    """The table of settings as config.py has it: variable, default, meaning."""
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
