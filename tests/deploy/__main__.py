"""Check deploy/ with its validators, which are downloaded, and print a table.

    python -m tests.deploy [checks...]

Without names all checks run. A check is "ok", "failed" (exit status 1), or "not run" where this machine lacks
what it needs.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.deploy import files, image, proxies
from tests.deploy.outcome import CheckFailedError, NotRunError

CHECKS: Final[dict[str, Callable[[], str]]] = {
    "yaml": files.yaml_style,
    "dockerfile": files.dockerfile,
    "image": image.embedded,
    "image-server": image.server,
    "compose": files.compose,
    "secrets": files.secrets,
    "systemd": files.systemd,
    "nginx": proxies.nginx_in_front,
    "caddy": proxies.caddy_in_front,
    "kubernetes": files.kubernetes,
    "prometheus": files.prometheus,
    "grafana": files.grafana,
    "workflows": files.workflows,
}


def main(names: list[str]) -> int:
    """Run the checks; 1 where one failed, 2 for a name that is none."""
    if unknown := set(names) - CHECKS.keys():
        sys.stderr.write(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}\n")
        return 2
    rows, failures = [], []
    for name in names or CHECKS:
        started = time.monotonic()
        try:
            result, detail = "ok", CHECKS[name]()
        except NotRunError as error:
            result, detail = "not run", str(error)
        except (CheckFailedError, AssertionError, subprocess.TimeoutExpired) as error:
            result, detail = "failed", str(error).splitlines()[0] if str(error) else type(error).__name__
            failures.append(f"--- {name}\n{error}")
        rows.append(f"{name:<14}{result:<9}{time.monotonic() - started:>6.0f} s  {detail}")
        sys.stdout.write(f"{rows[-1]}\n")
        sys.stdout.flush()
    sys.stdout.write("".join(f"\n{each}\n" for each in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
