"""What deploy/ names exists: settings, commands, flags, ports, paths, metrics; and its files parse.

Cheap, and in `make test`. The validators that have to be installed are run by `make deploy-check` (tests/deploy).
"""

import argparse
import configparser
import dataclasses
import fnmatch
import json
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import yaml
from asgiscope import semconv
from asgiscope_collector.__main__ import _parser
from asgiscope_collector.settings import PREFIX, Settings
from asgiscope_collector.store_url import StoreAddress
from asgiscope_collector.web.routes.prometheus import Figures
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest

from tests.tools import ROOT

DEPLOY: Final = ROOT / "deploy"
VARIABLES: Final = {"ASGISCOPE_DOMAIN", "ASGISCOPE_UPSTREAM", "ASGISCOPE_TOKEN", "ASGISCOPE_ENDPOINT"}
"""Variables of compose, Caddy and the OpenTelemetry Collector's configurations that are no settings."""
PORTS: Final = {4317, 4318}
USER: Final = 10001


def files(*patterns: str) -> list[Path]:
    """Return the tracked and new files of deploy/ that match, without the demo's."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "deploy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [ROOT / name for name in listed if not name.startswith("deploy/demo/") and (ROOT / name).exists()]
    return [
        path
        for path in found
        if any(fnmatch.fnmatch(str(path.relative_to(DEPLOY)), each) for each in patterns)
    ]


def id_of(path: Path) -> str:
    """Return a file's name for a test's id."""
    return str(path.relative_to(DEPLOY))


def documents(path: Path) -> list[Any]:
    """Return the documents of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def named(found: Any, key: str) -> list[Any]:
    """Return every value of a key, at any depth."""
    if isinstance(found, dict):
        own = [found[key]] if key in found else []
        return own + [each for value in found.values() for each in named(value, key)]
    if isinstance(found, list):
        return [each for value in found for each in named(value, key)]
    return []


def strings(found: Any) -> list[str]:
    """Return every string, at any depth."""
    if isinstance(found, dict):
        return [each for value in found.values() for each in strings(value)]
    if isinstance(found, list):
        return [each for value in found for each in strings(value)]
    return [found] if isinstance(found, str) else []


@pytest.mark.parametrize("path", files("*.yaml", "*.yml"), ids=id_of)
def test_yaml_parses(path: Path) -> None:
    """Each file holds at least one document."""
    assert documents(path)


@pytest.mark.parametrize("path", files("*.json"), ids=id_of)
def test_json_parses(path: Path) -> None:
    """Each file holds something."""
    assert json.loads(path.read_text())


def test_settings_that_are_named_exist() -> None:
    """Every `ASGISCOPE_COLLECTOR_*`; a misspelt one would stop the collector from starting."""
    known = {f"{PREFIX}{each.name.upper()}" for each in dataclasses.fields(Settings)} | VARIABLES
    seen, unknown = 0, []
    for path in files("*"):
        for name in re.findall(r"\bASGISCOPE_[A-Z_]*[A-Z]\b", path.read_text()):
            seen += 1
            if name not in known:
                unknown.append(f"{id_of(path)}: {name}")
    assert unknown == []
    assert seen > 20


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of `asgiscope-collector`; SystemExit where it would refuse them."""
    return _parser(arguments).parse_args(arguments)


def unit(path: Path) -> configparser.RawConfigParser:
    """Return a systemd unit. Of a key that is given twice only the last value is kept."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys are case-sensitive
    parser.read_string(path.read_text())
    return parser


@pytest.mark.parametrize("path", files("systemd/*.service"), ids=id_of)
def test_services_run_a_command_that_the_parser_takes(path: Path) -> None:
    """As a user of their own, in the folder that systemd makes for them."""
    service = unit(path)["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "asgiscope-collector"
    _parse(arguments)
    assert service["User"] == "asgiscope"
    assert service["Environment"] == f"{PREFIX}DATA=/var/lib/{service['StateDirectory']}"
    assert f"u {service['User']} " in (DEPLOY / "systemd/asgiscope.sysusers.conf").read_text()


def test_the_timer_starts_a_service_that_exists() -> None:
    """A timer starts the service of its name."""
    for timer in files("systemd/*.timer"):
        assert timer.with_suffix(".service").exists()
        assert unit(timer)["Timer"]["OnCalendar"]


def test_supervisors_wait_longer_than_the_collector_takes_to_stop() -> None:
    """Otherwise they kill it while it stores."""
    stop = Settings().stop_seconds
    seconds = [int(unit(DEPLOY / "systemd/asgiscope-collector.service")["Service"]["TimeoutStopSec"][:-1])]
    seconds += [
        int(each[:-1]) for each in named(documents(DEPLOY / "compose/compose.yaml"), "stop_grace_period")
    ]
    for path in files("kubernetes/*.yaml"):
        seconds += named(documents(path), "terminationGracePeriodSeconds")
    assert min(seconds) > stop


# --- the image -------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, with continued lines joined."""
    lines = [
        line
        for line in (DEPLOY / "docker/Dockerfile").read_text().splitlines()
        if not line.lstrip().startswith("#")
    ]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def test_the_image_runs_commands_that_the_parser_takes() -> None:
    """Its command, and its health check."""
    found = dict(instructions())
    (program,) = json.loads(found["ENTRYPOINT"])
    assert program == "asgiscope-collector"
    _parse(json.loads(found["CMD"]))
    program, *arguments = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert program == "asgiscope-collector"
    _parse(arguments)
    assert {int(port) for port in found["EXPOSE"].split()} == PORTS
    assert {Settings().port, Settings().grpc_port} == PORTS


def test_the_image_runs_as_an_ordinary_user_and_is_closed_by_default() -> None:
    """Every stage that is run sets the user; the environment alone does not let the collector start."""
    text = (DEPLOY / "docker/Dockerfile").read_text()
    finals = re.split(r"^FROM base AS ", text, flags=re.MULTILINE)[1:]
    assert [each.split()[0] for each in finals] == ["server", "embedded"]
    assert all(f"USER {USER}:{USER}\n" in each for each in finals)
    environment = dict(
        pair.split("=", 1) for name, rest in instructions() if name == "ENV" for pair in rest.split()
    )
    with pytest.raises(ValueError, match="can be reached from other machines"):
        Settings.from_environment(environment)


def test_the_image_copies_what_exists_and_what_the_context_has() -> None:
    """`.dockerignore` keeps everything out that it does not name."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / each).exists() for each in copied)


def test_both_variants_install_alike_but_for_the_engine() -> None:
    """The steps are the same words, without the options that leave packages out."""
    text = (DEPLOY / "docker/Dockerfile").read_text()
    stages = dict(
        re.findall(r"^FROM build AS environment-(\w+)\n(.*?)^# ---", text, re.MULTILINE | re.DOTALL)
    )
    assert stages.keys() == {"server", "embedded"}
    left_out = re.findall(r"--no-emit-package (\S+)", stages["server"])
    assert left_out == ["chdb-core-lite", "pandas", "pyarrow"]
    server = re.sub(r"--no-emit-package \S+|^#.*\n", "", stages["server"], flags=re.MULTILINE)
    assert shlex.split(server.replace("\\\n", " ")) == shlex.split(stages["embedded"].replace("\\\n", " "))


# --- compose ---------------------------------------------------------------------------------------------


def test_compose_opens_the_collector_on_loopback_only_and_keeps_secrets_in_files() -> None:
    """Only the proxy is reachable; each secret that a service has is a file that git ignores."""
    for path in files("compose/*.yaml"):
        (compose,) = documents(path)
        for name, service in compose["services"].items():
            for port in service.get("ports", []):
                assert port.startswith("127.0.0.1:") or name == "caddy", f"{path.name}: {name} opens {port}"
            for text in strings(service.get("environment", {})):
                assert not re.search(r"://[^@/]*:[^@/]*@", text), f"{path.name}: a password in {text}"
        assert all(each["file"].startswith("./secrets/") for each in compose.get("secrets", {}).values())
    assert "secrets/" in (DEPLOY / "compose/.gitignore").read_text().splitlines()


def test_compose_settings_are_a_configuration_that_serve_accepts(tmp_path: Path) -> None:
    """With each of the files that add to the first one."""
    (tmp_path / "clickhouse_password").write_text("secret\n")
    image = {f"{PREFIX}HOST": "0.0.0.0", f"{PREFIX}DATA": "/data"}  # noqa: S104 - of the image
    (base,) = documents(DEPLOY / "compose/compose.yaml")
    for path in files("compose/*.yaml"):
        (compose,) = documents(path)
        environment = image | base["services"]["collector"]["environment"]
        environment |= compose["services"]["collector"]["environment"]
        told = {
            name: re.sub(r"\$\{\w+:\?[^}]*\}", "asgiscope.example.com", value).replace(
                "/run/secrets/clickhouse", f"{tmp_path}/clickhouse"
            )
            for name, value in environment.items()
        }
        assert Settings.from_environment(told).login


# --- proxies ---------------------------------------------------------------------------------------------


def test_proxies_name_paths_that_the_collector_serves() -> None:
    """In nginx's locations and Caddy's matchers."""
    nginx = re.findall(r"location (?:= )?(/\S*)", (DEPLOY / "nginx/asgiscope.conf").read_text())
    caddy = re.findall(r"(?<=[\s])(/[a-z]\S*)", re.sub(r"#.*", "", (DEPLOY / "caddy/Caddyfile").read_text()))
    assert set(nginx) == {"/", "/v1/", "/api/live", "/metrics", "/readyz"}
    assert set(caddy) == {"/metrics", "/readyz", "/api/*", "/api/live"}
    for text in ("nginx/asgiscope.conf", "caddy/Caddyfile"):
        assert f"127.0.0.1:{Settings().port}" in (DEPLOY / text).read_text()
    limit = Settings().max_body_bytes >> 20
    assert f"client_max_body_size {limit}m;" in (DEPLOY / "nginx/asgiscope.conf").read_text()
    assert f"max_size {limit}MiB" in (DEPLOY / "caddy/Caddyfile").read_text()


# --- metrics ---------------------------------------------------------------------------------------------


def own_metrics() -> set[str]:
    """Return the names of the samples at `/metrics`."""
    counts = SimpleNamespace(
        spans=0,
        points=0,
        rejected_spans=0,
        rejected_points=0,
        refused_requests=0,
        repaired_values=0,
        retries=SimpleNamespace(recognised=0),
    )
    collector = SimpleNamespace(
        inbox=counts,
        spool=SimpleNamespace(size=0),
        loader=SimpleNamespace(segments=0, rejected_bodies=0, dropped_values=0),
        settings=Settings(),
        disk=SimpleNamespace(free_bytes=0),
        housekeeping=SimpleNamespace(stored=SimpleNamespace(bytes=0)),
        gauges=lambda: SimpleNamespace(lag_ns=0),
        engine=SimpleNamespace(is_open=True),
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(collector))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    lines = generate_latest(registry).decode().splitlines()
    return {re.split(r"[ {]", line)[0] for line in lines if line and not line.startswith("#")}


def test_metrics_that_are_named_exist() -> None:
    """In Prometheus' rules, their tests and Grafana's dashboard."""
    known = own_metrics()
    assert "asgiscope_collector_items_total" in known
    seen = set[str]()
    for path in files("prometheus/*", "grafana/*", "kubernetes/*"):
        for name in re.findall(r"\b((?:asgiscope_collector|process)_[a-z_]+)\b", path.read_text()):
            seen.add(name)
            assert name in known, f"{id_of(path)}: {name}"
    assert len(seen) > 15


def test_every_alert_has_a_test_that_fires_it_and_is_described() -> None:
    """`promtool` runs the tests in `make deploy-check`."""
    (rules,) = documents(DEPLOY / "prometheus/rules.yaml")
    alerts = [each for group in rules["groups"] for each in group["rules"]]
    tests = (DEPLOY / "prometheus/rules_test.yaml").read_text()
    assert len(alerts) >= 10
    for alert in alerts:
        assert f'alertname="{alert["alert"]}"' in tests
        assert alert["annotations"].keys() == {"summary", "description"}
        assert alert["labels"]["severity"] in {"warning", "critical"}
    (scrape,) = documents(DEPLOY / "prometheus/scrape.yaml")
    (job,) = scrape["scrape_configs"]
    assert all(f'job="{job["job_name"]}"' in alert["expr"] for alert in alerts)
    assert job["static_configs"][0]["targets"] == [f"127.0.0.1:{Settings().port}"]


# --- Kubernetes ------------------------------------------------------------------------------------------


def test_kubernetes_probes_ports_and_settings_are_the_collectors() -> None:
    """Each probe's path answers, each port is the collector's, and `serve` accepts the settings."""
    (workload,) = documents(DEPLOY / "kubernetes/base/statefulset.yaml")
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probes = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert {each["containerPort"] for each in container["ports"]} <= PORTS
    assert _parse(container["args"]).command == "serve"
    image = {f"{PREFIX}HOST": "0.0.0.0", f"{PREFIX}DATA": "/data"}  # noqa: S104 - of the image
    told = {each["name"]: each["value"] for each in container["env"]}
    assert Settings.from_environment(image | told).login
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts["data"] == "/data"
    assert all(
        each["value"].startswith(mounts["secrets"]) for each in container["env"] if "/" in each["value"]
    )
    assert pod["securityContext"]["runAsUser"] == USER
    assert container["securityContext"]["readOnlyRootFilesystem"]
    (service, _) = documents(DEPLOY / "kubernetes/base/service.yaml")
    assert service["spec"]["ports"][0]["port"] == Settings().port


def test_kubernetes_has_no_secret_in_a_file() -> None:
    """They are made by a command that the comments show, and named."""
    kinds = [each.get("kind") for path in files("kubernetes/*.yaml") for each in documents(path)]
    assert "StatefulSet" in kinds
    assert "Secret" not in kinds


def test_the_cluster_overlay_is_a_store_address_with_a_cluster(tmp_path: Path) -> None:
    """Its password is in the secret's file."""
    (patch,) = documents(DEPLOY / "kubernetes/overlays/clickhouse/statefulset.yaml")
    (store,) = patch["spec"]["template"]["spec"]["containers"][0]["env"]
    (tmp_path / "clickhouse_password").write_text("secret")
    address = StoreAddress.parse(store["value"].replace("/etc/asgiscope/secrets", str(tmp_path)))
    assert (address.cluster, address.password) == ("default", "secret")
    assert patch["spec"]["replicas"] > 1


def test_opentelemetry_configurations_use_attributes_and_ports_that_exist() -> None:
    """And no port of the collector, which may run on the same machine."""
    for path in files("opentelemetry-collector/*.yaml"):
        (found,) = documents(path)
        attributes = re.findall(r'attributes\["([^"]+)"\]', path.read_text())
        assert set(attributes) <= {semconv.FINDING}
        endpoints = named(found["receivers"], "endpoint")
        assert len(endpoints) == 2
        assert all(int(each.rpartition(":")[2]) not in PORTS for each in endpoints)
        assert all(each.startswith("127.0.0.1:") for each in endpoints)
        parts = found["receivers"].keys() | found["processors"].keys() | found["exporters"].keys()
        pipelines = found["service"]["pipelines"].values()
        used = {name for each in pipelines for names in each.values() for name in names}
        assert used == parts


def test_workflows_pin_actions_and_hold_no_token() -> None:
    """A tag of an action can be moved; publishing is trusted by the index, without a secret."""
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        text = path.read_text()
        used = re.findall(r"uses: (\S+)", text)
        assert used
        assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []
        assert "secrets." not in text
        make = set(re.findall(r"^\s+run: make ([a-z-]+)$", text, re.MULTILINE))
        assert all(re.search(rf"^{each}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for each in make)
