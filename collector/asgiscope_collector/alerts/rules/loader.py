"""Loads the rules file and reports its mistakes, one line each."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from standardwebhooks import Webhook as Signer

from asgiscope_collector.alerts.notify.receivers.config import ReceiverConfig
from asgiscope_collector.alerts.rules.config_types import SecretError, read_secret
from asgiscope_collector.alerts.rules.models import DEFAULT_NOTIFY, AlertFile, Notify, Rule

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 256 * 1024
_MAX_VALUES: Final = 10_000
_MAX_PROBLEMS: Final = 50
_MAX_PLAIN: Final = 1_000
"""Limit of characters in a value without quotes: YAML tries each number and date format on it."""
_EVENTS: Final = getattr(yaml, "CLoader", yaml.SafeLoader)
"""Thirty times as fast, if PyYAML was built with it."""
_SPECIAL_KEYS: Final = frozenset({"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"})
_MAX_DEPTH: Final = 40
_DEFAULTS: Final = "defaults.yaml"
SCHEMA_FILE: Final = "rules.schema.json"


class RulesError(ValueError):
    """The rules file cannot be used; `problems` has a line per mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule with the file's defaults filled in."""

    rule: Rule
    notify: Notify
    receivers: tuple[str, ...]
    builtin: bool


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The active rules, and their source."""

    file: AlertFile
    rules: tuple[ActiveRule, ...]
    path: str = ""
    loaded_ns: int = 0
    stamp: tuple[int, int] = field(default=(0, 0), compare=False)

    def rule(self, name: str) -> ActiveRule | None:
        """Return the rule of that name."""
        return next((each for each in self.rules if each.rule.name == name), None)

    def receiver(self, name: str) -> ReceiverConfig | None:
        """Return the receiver of that name."""
        return next((each for each in self.file.receivers if each.name == name), None)


class _Loader(yaml.SafeLoader):
    """Only plain data, no duplicate keys and no references: a short file stays small in memory."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (RulesError, yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the error, the value is invalid
            # For example a date of month 13, or a number of five thousand digits. The text may be a secret:
            # do not repeat it.
            raise RulesError(
                [f"{_line_of(node)}this is no value ({type(error).__name__}): quote it if it is text"]
            ) from None

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag in _SPECIAL_KEYS:
                raise RulesError(
                    [f"line {key.start_mark.line + 1}: {key.value!r} is no key here: repeat the text"]
                )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise RulesError([f"{_line_of(node)}this is no list of `key: value`"])
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RulesError([f"line {key.start_mark.line + 1}: a key must be a word"])
            if key.value in seen:
                raise RulesError([f"line {key.start_mark.line + 1}: the key {key.value!r} is there twice"])
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str) -> AlertFile:
    """Parse the file into models.

    Raises:
        RulesError: it is not valid YAML, or does not match the schema.
    """
    node = None
    try:
        # The loader below has better error messages: for an unclosed bracket it names the opening one.
        with suppress(yaml.YAMLError):
            _check_shape(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise RulesError([f"{where}this is no YAML: {getattr(error, 'problem', None) or error}"]) from None
    except RulesError:
        raise
    except RecursionError:
        raise RulesError(["the file is nested too deeply"]) from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise RulesError([f"{_line_of(node)}the file cannot be read ({type(error).__name__})"]) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise RulesError([f"{_line_of(node)}the file is not a list of `key: value`: see rules.schema.json"])
    try:
        return AlertFile.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_spell(each, node) for each in found[:_MAX_PROBLEMS]]
        if len(found) > _MAX_PROBLEMS:
            problems.append(f"and {len(found) - _MAX_PROBLEMS} more")
        raise RulesError(problems) from None


def _check_shape(text: str) -> None:
    """Refuse a file that would take much time or memory, by scanning its events without keeping them.

    Raises:
        RulesError: it has a reference, too many values, or too deep nesting.
        yaml.YAMLError: it is not valid YAML.
    """
    depth = count = 0
    for event in yaml.parse(text, Loader=_EVENTS):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise RulesError([f"line {line}: references (*name) are not used here: repeat the text"])
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise RulesError([f"line {line}: the file is nested too deeply"])
        if count > _MAX_VALUES:
            raise RulesError([f"line {line}: the file has more than {_MAX_VALUES} values"])
        if isinstance(event, yaml.ScalarEvent) and event.style is None and len(event.value) > _MAX_PLAIN:
            raise RulesError([f"line {line}: a text of {len(event.value)} characters needs quotes"])


def read(path: str, now_ns: int = 0) -> RuleSet:
    """Read the rules of a file and the built-in ones; only the latter without a path. Reads the disk.

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
    """Return the file's modification time and size, which change when it does. Reads the disk.

    Raises:
        OSError: there is no such file.
    """
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size


def check(path: str) -> list[str]:
    """Return the mistakes in a rules file, unreadable secrets included; [] if there are none."""
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
    """Return which secrets of a receiver cannot be read, and why. Reads the disk."""
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


def _spell(error: Any, file: yaml.Node | None) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    line = _line_of(_node_at(file, error["loc"]))
    # The value may be a secret in the wrong place: do not repeat it.
    return f"{line}{where}: {message}" if where else f"{line}{message}"


def _node_at(node: yaml.Node | None, path: Sequence[int | str]) -> yaml.Node | None:
    """Return the node at a path of keys and indexes, or its nearest existing parent."""
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            # Pydantic's path also has the names of a union's members, which are not in the file.
            node = next((value for key, value in node.value if key.value == str(part)), node)
    return node


def _line_of(node: yaml.Node | None) -> str:
    return f"line {node.start_mark.line + 1}: " if node is not None and node.start_mark else ""
