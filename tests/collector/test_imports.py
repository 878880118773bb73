"""What a command imports: no library that it has no use for, because each start of the collector pays for it."""

import json
import subprocess
import sys
from pathlib import Path

WEB = {"fastapi", "uvicorn", "starlette"}
SIGN_IN = {"authlib", "joserfc", "httpx2"}
SENDING = {"httpx", "rich", "pygments"}
TRACING = {"opentelemetry.sdk"}


def modules_after(code: str, folder: Path, **environment: str) -> set[str]:
    """Return the modules that an interpreter of its own has imported when `code` has run."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=environment,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_check_with_a_bad_setting_imports_no_library_of_the_service(tmp_path: Path) -> None:
    """The mistake is said in a fraction of the time that serving takes to start."""
    code = "from asgiscope_collector.__main__ import main\nassert main(['check']) == 1"
    imported = modules_after(code, tmp_path, ASGISCOPE_COLLECTOR_PORT="no port")
    assert imported & {*WEB, *SIGN_IN, *SENDING, *TRACING, "argon2", "limits", "chdb"} == set()


def test_a_health_check_imports_no_library_of_the_service(tmp_path: Path) -> None:
    """A container's engine runs it every half minute."""
    code = "from asgiscope_collector.__main__ import main\nassert main(['health', '--port', '1']) == 1"
    imported = modules_after(code, tmp_path)
    assert (
        imported & {*WEB, *SIGN_IN, *SENDING, *TRACING, "argon2", "limits", "chdb", "clickhouse_connect"}
        == set()
    )


def test_optional_libraries_are_imported_only_when_configured(
    tmp_path: Path,
) -> None:
    """No identity provider, no receiver and no address for its own traces are set."""
    code = "import asgiscope_collector.cli.serve"
    assert modules_after(code, tmp_path) & {*SIGN_IN, *SENDING, *TRACING} == set()


def test_usage_and_errors_name_every_command(tmp_path: Path) -> None:
    """Each command is known by its name, though only the one that is asked for is imported."""
    known = "serve,check,prune,delete,export,rebuild,backup,restore,alerts,password,health"
    for arguments, printed in (
        (["check", "--bogus"], f"{{{known}}}"),
        (["--help"], f"{{{known}}}"),
        (["bogus"], "argument command: invalid choice: 'bogus'"),
        (["serve", "--port", "x"], "argument --port: invalid int value: 'x'"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "asgiscope_collector", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert printed in done.stdout + done.stderr
