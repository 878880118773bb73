"""The structure holds: imports point one way, files stay short, and the two distributions meet at the contract."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 400
GENERATED = {"dashboard/src/api/schema.ts"}

# Low to high: a module imports only from those before it, or from its own package.
INSTRUMENTATION = (
    "__init__",
    "semconv",
    "advice",
    "config",
    "internal_errors",
    "intervals",
    "patching",
    "stack",
    "detection",
    "records",
    "contention",
    "metrics",
    "recorder",
    "event_loop",
    "bridge",
    "probes",
    "export",
    "switch",
    "autoload",
    "instrumentor",
    "apps",
    "testing",
    "pytest_plugin",
    "bootstrap",
    "doctor",
    "cli",
    "__main__",
)
COLLECTOR = (
    "__init__",
    "definitions",
    "schemas",
    "store_url",
    "settings",
    "access",
    "otlp",
    "wal",
    "store",
    "ingest",
    "queries",
    "alerts",
    "operations",
    "control",
    "housekeeping",
    "feed",
    "service",
    "tracing",
    "web",
    "cli",
    "__main__",
)
DASHBOARD = ("text", "api", "model", "canvas", "widgets", "views", "app")


def python_imports(file: Path) -> set[str]:
    """Return every module a file imports, wherever in the file; `from a import b` counts as `a` and as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layers_broken(package: Path, order: tuple[str, ...]) -> list[str]:
    """Return the imports of a package that point upwards."""
    broken = []
    for file in sorted(package.rglob("*.py")):
        own = file.relative_to(package).parts[0].removesuffix(".py")
        assert own in order, f"{own} has no place in the order of {package.name}"
        for name in python_imports(file):
            head, _, rest = name.partition(".")
            if head != package.name or not rest:
                continue
            other = rest.split(".")[0]
            if other in order and other != own and order.index(other) > order.index(own):
                broken.append(f"{file.relative_to(ROOT)} imports {name}")
    return broken


@pytest.mark.parametrize(
    ("package", "order"),
    [
        (ROOT / "instrumentation/asgiscope", INSTRUMENTATION),
        (ROOT / "collector/asgiscope_collector", COLLECTOR),
    ],
    ids=["asgiscope", "asgiscope_collector"],
)
def test_imports_point_one_way(package: Path, order: tuple[str, ...]) -> None:
    """From high to low, never back. `asgiscope.instrument()` itself reaches up, inside a function, by design."""
    broken = layers_broken(package, order)
    init = "instrumentation/asgiscope/__init__.py imports"
    allowed = (
        *(f"{init} asgiscope.{module}" for module in ("autoload", "config", "instrumentor")),
        "instrumentation/asgiscope/autoload.py imports asgiscope.instrumentor",
    )
    assert [line for line in broken if not line.startswith(allowed)] == []


def test_the_dashboards_imports_point_one_way() -> None:
    """The same for TypeScript: relative imports between the folders of src/."""
    source = ROOT / "dashboard/src"
    broken = []
    for file in sorted([*source.rglob("*.ts"), *source.rglob("*.tsx")]):
        parts = file.relative_to(source).parts
        if len(parts) == 1:
            continue
        for target in re.findall(r"""from\s+["'](\.\.?/[^"']+)["']""", file.read_text()):
            other = (file.parent / target).resolve().relative_to(source.resolve()).parts[0]
            if other in DASHBOARD and DASHBOARD.index(other) > DASHBOARD.index(parts[0]):
                broken.append(f"{file.relative_to(ROOT)} imports {target}")
    assert broken == []


SHARED = ("asgiscope.semconv", "asgiscope.advice")
"""What both distributions read: the wire contract, and the one table of advice."""


def test_the_distributions_meet_at_the_contract_only() -> None:
    """The collector imports the modules of `SHARED`; asgiscope imports nothing of the collector."""
    for file in (ROOT / "collector").rglob("*.py"):
        ours = {name for name in python_imports(file) if name.split(".")[0] == "asgiscope"}
        assert all(name == "asgiscope" or name.startswith(SHARED) for name in ours), file
    for file in (ROOT / "instrumentation").rglob("*.py"):
        assert not any(name.startswith("asgiscope_collector") for name in python_imports(file)), file


def test_the_contract_imports_nothing_of_ours_and_no_library() -> None:
    """Reading it costs the collector nothing."""
    assert {name.split(".")[0] for name in python_imports(ROOT / "instrumentation/asgiscope/semconv.py")} == {
        "enum",
        "typing",
    }


def test_only_its_own_probe_knows_a_librarys_insides() -> None:
    """Django and asgiref are imported by probes and the app configuration, nowhere else."""
    allowed = {"probes", "apps.py", "instrumentor.py", "doctor"}  # a doctor loads the site as a server would
    for file in (ROOT / "instrumentation/asgiscope").rglob("*.py"):
        if file.relative_to(ROOT / "instrumentation/asgiscope").parts[0] in allowed:
            continue
        heads = {name.split(".")[0] for name in python_imports(file)}
        assert not heads & {"django", "asgiref"}, file


LENGTH_REASON = "Longer than 400 lines because "
"""A longer file says so in its first 12 lines, with the reason."""


def test_a_file_over_400_lines_gives_its_reason_at_the_top() -> None:
    """400 lines, tests and styles included, is a sign that a file holds two ideas; generated files are exempt."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    suffixes = {".py", ".ts", ".tsx", ".css", ".sql", ".html", ".proto", ".md"}
    files = [
        ROOT / name
        for name in listed
        if Path(name).suffix in suffixes
        and (ROOT / name).exists()
        and "golden" not in Path(name).parts
        and name not in GENERATED
    ]
    assert len(files) > 50
    long = {
        str(file.relative_to(ROOT)): lines
        for file in files
        if (lines := len(file.read_text().splitlines())) > MAX_LINES
        and LENGTH_REASON not in "\n".join(file.read_text().splitlines()[:12])
    }
    assert long == {}
