"""Reads the rules file, says what is wrong with it in a line each, and notices when it has changed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from standardwebhooks import Webhook as Signer

from asgiscope_collector.alerts.receivers.config import ReceiverConfig
from asgiscope_collector.alerts.rules import DEFAULT_NOTIFY, AlertFile, Notify, Rule
from asgiscope_collector.alerts.values import SecretError, read_secret

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 40
_DEFAULTS: Final = "defaults.yaml"
SCHEMA_FILE: Final = "rules.schema.json"


class RulesError(ValueError):
    """The rules file cannot be used; `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule with everything filled in that it left to the file."""

    rule: Rule
    notify: Notify
    receivers: tuple[str, ...]
    builtin: bool


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that are in force, and where they come from."""

    file: AlertFile
    rules: tuple[ActiveRule, ...]
    path: str = ""
    loaded_ns: int = 0
    stamp: tuple[int, int] = field(default=(0, 0), compare=False)

    def rule(self, name: str) -> ActiveRule | None:
        """The rule of that name."""
        return next((each for each in self.rules if each.rule.name == name), None)

    def receiver(self, name: str) -> ReceiverConfig | None:
        """The receiver of that name."""
        return next((each for each in self.file.receivers if each.name == name), None)


class _Loader(yaml.SafeLoader):
    """Plain data, no key twice and nothing by reference: a short file stays short in memory."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise RulesError([f"line {self.line + 1}: references (*name) are not used here: repeat the text"])
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RulesError([f"line {key.start_mark.line + 1}: a key must be a word"])
            if key.value in seen:
                raise RulesError([f"line {key.start_mark.line + 1}: the key {key.value!r} is there twice"])
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str) -> AlertFile:
    """The file as models.

    Raises:
        RulesError: it is no YAML, or not what the schema says.
    """
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - the loader is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise RulesError([f"{where}this is no YAML: {getattr(error, 'problem', None) or error}"]) from None
    except RecursionError:
        raise RulesError(["the file is nested too deeply"]) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise RulesError(["the file is not a list of `key: value`: see rules.schema.json"])
    try:
        return AlertFile.model_validate(data)
    except ValidationError as error:
        raise RulesError([_spell(each) for each in error.errors(include_url=False)]) from None


def read(path: str, now_ns: int = 0) -> RuleSet:
    """The rules of a file, and the built-in ones; only those without a path. Touches the disk.

    Raises:
        RulesError: the file cannot be read or used.
    """
    if not path:
        return _rule_set(AlertFile(), "", now_ns, (0, 0))
    try:
        stamp = stamp_of(path)
        if stamp[1] > _MAX_BYTES:
            raise RulesError([f"the file has {stamp[1]} bytes; {_MAX_BYTES} are allowed"])
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RulesError([f"{path} cannot be read: {reason}"]) from None
    return _rule_set(parse(text), path, now_ns, stamp)


def stamp_of(path: str) -> tuple[int, int]:
    """Changes when the file does: its time and size. Touches the disk.

    Raises:
        OSError: there is no such file.
    """
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size


def check(path: str) -> list[str]:
    """What is wrong with a rules file, secrets that cannot be read included; empty if nothing is."""
    try:
        found = read(path)
    except RulesError as error:
        return error.problems
    return [
        f"receivers.{receiver.name}: {problem}"
        for receiver in found.file.receivers
        for problem in secret_problems(receiver)
    ]


def secret_problems(receiver: ReceiverConfig) -> list[str]:
    """Which secrets of a receiver cannot be read, and why. Touches the disk."""
    problems = []
    for name in ("url", "secret", "routing_key", "password"):
        text, file = getattr(receiver, name, ""), getattr(receiver, f"{name}_file", None)
        if not text and file is None:
            continue
        try:
            value = read_secret(text, file)
            if name == "secret":
                Signer(value)
        except SecretError as error:
            problems.append(f"{name}: {error}")
        except ValueError:
            problems.append(f"{name}: it is not base64, as `whsec_...` of Standard Webhooks is")
    return problems


def _rule_set(file: AlertFile, path: str, now_ns: int, stamp: tuple[int, int]) -> RuleSet:
    builtin = _builtin() if file.defaults else ()
    own = {rule.name for rule in file.rules}
    chosen = [(rule, True) for rule in builtin if rule.name not in own]
    chosen += [(rule, False) for rule in file.rules]
    base = file.notify.over(DEFAULT_NOTIFY)
    everyone = tuple(receiver.name for receiver in file.receivers)
    rules = []
    for rule, is_builtin in chosen:
        if rule.disabled:
            continue
        notify = rule.notify.over(base)
        receivers = everyone if notify.receivers is None else tuple(notify.receivers)
        rules.append(ActiveRule(rule, notify, receivers, is_builtin))
    return RuleSet(file, tuple(rules), path, now_ns, stamp)


@cache
def _builtin() -> tuple[Rule, ...]:
    text = files(__package__).joinpath(_DEFAULTS).read_text(encoding="utf-8")
    return tuple(parse(text).rules)


def _spell(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    # What was written may be a secret in the wrong place: it is not repeated.
    return f"{where}: {message}" if where else message
