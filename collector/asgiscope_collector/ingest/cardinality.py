"""Limits on distinct keys per minute: routes, call sites, calls, releases and services.

The rollups have a row per key and minute, so paths in place of routes, or a version with a timestamp, would
make them as large as the spans. Up to a limit per service, and one for all services, the most expensive keys
keep their names; the others are stored as `(other)`, with the original name in another attribute, and so
share one row.

Few segments come near the limit: each is sampled as bytes, and only suspect ones are read span by span.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from asgiscope import semconv as sc

from asgiscope_collector.otlp import items_of, request_of, to_protobuf
from asgiscope_collector.wal.segment import iter_records

logger = logging.getLogger(__name__)

OTHER: Final = "(other)"
"""Replaces a name above the limit. Its row has the sum of all of them."""
PER_SERVICE: Final = 5_000
OVERALL: Final = 20_000
"""Limit of keys of a kind per minute, for one service and for all."""

_NOT_RENAMED: Final = frozenset(
    {"", OTHER, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
_VERSION: Final = "service.version"
_ENVIRONMENT: Final = "deployment.environment.name"
_SERVICE: Final = "service.name"
_SAMPLED: Final = (sc.HTTP_ROUTE, sc.CODE_FUNCTION, sc.BRIDGE_FUNCTION, sc.LINK_FUNCTION, _SERVICE, _VERSION)
_WINDOWS: Final = 16
_WINDOW_BYTES: Final = 256 * 1024
_MOST: Final = 1_024
_ENOUGH: Final = 500
"""Fewest sampled values for an estimate."""
_MANY: Final = 0.9
"""The share of distinct values in a sample of a thousand, if five thousand values are equally frequent."""
_MINUTE_NS: Final = 60_000_000_000
_MINUTES_KEPT: Final = 5
_COUNTED: Final = 200_000
_LONG: Final = 0x80
_CUT: Final = 64


class Bytes(Protocol):
    """A segment's content: bytes, or a memory-mapped file."""

    def __len__(self) -> int:
        """Return the size in bytes."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a slice."""

    def find(self, sub: bytes, start: int, end: int, /) -> int:
        """Return the position of `sub`, or -1."""


class _Scope(NamedTuple):
    """The group of keys that share a limit."""

    minute: int
    kind: str
    service: str


@dataclass(slots=True)
class _Minute:
    """The hashes of a minute's keys that keep their names, and the number of the others."""

    kept: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    total: Counter[str] = field(default_factory=Counter)
    other: dict[str, set[int]] = field(default_factory=dict)


class KeyLimits:
    """The keys of the last minutes that keep their names. Used by one thread at a time."""

    def __init__(self, *, per_service: int = PER_SERVICE, overall: int = OVERALL) -> None:
        self._per_service = per_service
        self._overall = overall
        self._minutes: OrderedDict[int, _Minute] = OrderedDict()
        self._sampled: dict[str, set[bytes]] = {}
        self._sampled_since = 0.0

    def others(self) -> dict[str, int]:
        """Return by kind how many keys were stored as `OTHER` in the last minute with any; a lower bound."""
        found = [minute for minute in list(self._minutes.values()) if minute.other]
        return {kind: len(keys) for kind, keys in found[-1].other.items()} if found else {}

    def is_suspect(self, data: Bytes) -> bool:
        """Return whether the keys in a segment, with those of the same minute, seem to exceed the limit."""
        now = time.monotonic()
        if now - self._sampled_since > _MINUTE_NS / 1e9:
            self._sampled_since, self._sampled = now, {}
        suspect = False
        for name in _SAMPLED:
            values = list(_sample(data, name))
            distinct = set(values)
            seen = self._sampled.setdefault(name, set())
            if len(seen) <= self._per_service:
                seen |= distinct
            suspect |= len(seen) > self._per_service
            suspect |= len(values) >= _ENOUGH and len(distinct) > _MANY * len(values)
        return suspect

    def apply(self, signal: str, data: bytes) -> list[bytes] | None:
        """Return a segment's bodies with the names above the limits replaced, or None if none is."""
        whole = [body for _, body in iter_records(data)]
        costs: dict[_Scope, Counter[int]] = {}
        for body in whole:
            for scope, key, cost in _keys(signal, request_of(signal, body)):
                costs.setdefault(scope, Counter())[key] += cost
        groups: dict[tuple[int, str], list[tuple[int, _Scope, int]]] = {}
        for scope, found in costs.items():
            group = groups.setdefault(scope[:2], [])
            group += [(cost, scope, key) for key, cost in found.items()]
        # sum() of a list, because any() of a generator would stop at the first group.
        if not sum([self._choose(minute, kind, group) for (minute, kind), group in groups.items()]):
            return None
        return [self._rewrite(signal, body) for body in whole]

    def _choose(self, number: int, kind: str, group: list[tuple[int, _Scope, int]]) -> int:
        """Choose the most expensive of a minute's new keys while there is room; return how many are not kept."""
        minute = self._minutes.setdefault(number, _Minute())
        while len(self._minutes) > _MINUTES_KEPT:
            self._minutes.popitem(last=False)
        beyond: list[int] = []
        for _, scope, key in sorted(group, reverse=True):
            kept = minute.kept.setdefault((kind, scope.service), set())
            if key in kept:
                continue
            if len(kept) < self._per_service and minute.total[kind] < self._overall:
                kept.add(key)
                minute.total[kind] += 1
            else:
                beyond.append(key)
        if beyond:
            other = minute.other.setdefault(kind, set())
            if not other:
                logger.warning(
                    "cardinality: more %ss in a minute than %d of a service or %d in all: the cheapest are summed "
                    "as %s",
                    kind,
                    self._per_service,
                    self._overall,
                    OTHER,
                )
            if len(other) < _COUNTED:
                other.update(beyond)
        return len(beyond)

    def _is_kept(self, scope: _Scope, key: int) -> bool:
        minute = self._minutes.get(scope.minute)
        return minute is None or key in minute.kept.get((scope.kind, scope.service), ())

    def _rewrite(self, signal: str, body: bytes) -> bytes:
        request = request_of(signal, body)
        for each in _entries(signal, request):
            for scope, key, _, names, attributes in each:
                if not self._is_kept(scope, key):
                    # For data points, only the name tells two series apart.
                    _rename(attributes, names, keep=signal == "traces")
        return to_protobuf(request)


class _Entry(NamedTuple):
    scope: _Scope
    key: int
    cost: int
    names: tuple[str, ...]
    """The attributes that form the key."""
    attributes: Any


def _keys(signal: str, request: Any) -> Iterator[tuple[_Scope, int, int]]:
    for each in _entries(signal, request):
        for entry in each:
            yield entry[:3]


def _entries(signal: str, request: Any) -> Iterator[list[_Entry]]:
    """Yield the keys that each resource, span, link or data point counts for."""
    for resource, items in items_of(signal, request):
        about = _texts(resource.attributes, (_SERVICE, _VERSION, _ENVIRONMENT))
        service = about[_SERVICE]
        first = True
        for start, cost, attributes, linked in items:
            minute = start // _MINUTE_NS
            if first:
                # Only in its first span's minute: a process has one release.
                first = False
                yield [
                    _entry(_Scope(minute, "service", ""), about, (_SERVICE,), cost, resource.attributes),
                    _entry(
                        _Scope(minute, "release", ""),
                        about,
                        (_SERVICE, _VERSION, _ENVIRONMENT),
                        cost,
                        resource.attributes,
                        renamed=(_VERSION, _ENVIRONMENT),
                    ),
                ]
            yield list(_of_attributes(minute, service, cost, attributes, _OF_ITEM))
            for each in linked:
                yield list(_of_attributes(minute, service, cost, each.attributes, _OF_LINK))


_CALL: Final = (sc.BRIDGE_FUNCTION, sc.CODE_FUNCTION, sc.CODE_FILE, sc.MIDDLEWARE)
_OF_ITEM: Final = (
    ("route", (sc.HTTP_ROUTE, sc.HTTP_METHOD)),
    ("call site", (sc.CODE_FUNCTION, sc.CODE_FILE)),
    ("call", _CALL),
)
_OF_LINK: Final = (("link", (sc.HTTP_ROUTE, sc.LINK_FUNCTION, sc.CODE_FUNCTION, sc.CODE_FILE)),)


def _of_attributes(
    minute: int, service: str, cost: int, attributes: Any, kinds: Iterable[tuple[str, tuple[str, ...]]]
) -> Iterator[_Entry]:
    wanted = _texts(attributes, tuple(dict.fromkeys(name for _, names in kinds for name in names)))
    for kind, names in kinds:
        if any(wanted[name] for name in names):
            yield _entry(_Scope(minute, kind, service), wanted, names, cost, attributes)


def _entry(
    scope: _Scope,
    texts: dict[str, str],
    names: tuple[str, ...],
    cost: int,
    attributes: Any,
    *,
    renamed: tuple[str, ...] = (),
) -> _Entry:
    return _Entry(scope, hash(tuple(texts[name] for name in names)), cost, renamed or names, attributes)


def _texts(attributes: Any, names: tuple[str, ...]) -> dict[str, str]:
    found = dict.fromkeys(names, "")
    for each in attributes:
        if each.key in found:
            found[each.key] = each.value.string_value
    return found


def _rename(attributes: Any, names: tuple[str, ...], *, keep: bool) -> None:
    """Replace the values of these attributes with `OTHER`, and keep the original values if `keep` is set."""
    for each in list(attributes):
        if each.key in names and each.value.string_value not in _NOT_RENAMED:
            if keep:
                attributes.add(key=sc.ORIGINAL + each.key).value.string_value = each.value.string_value
            each.value.string_value = OTHER


def _sample(data: Bytes, name: str) -> Iterator[bytes]:
    """Yield a sample of an attribute's values as protobuf bytes, taken from the whole segment."""
    sign = b"\n" + bytes([len(name)]) + name.encode() + b"\x12"
    size = len(data)
    step = max(_WINDOW_BYTES, size // _WINDOWS)
    starts = range(0, size, step)
    each = _MOST // max(1, len(starts))
    for start in starts:
        position, end = start, min(start + _WINDOW_BYTES, size)
        for _ in range(each):
            position = data.find(sign, position, end)
            if position < 0:
                break
            position += len(sign)
            length = data[position : position + 1]
            held = length[0] + 1 if length and length[0] < _LONG else _CUT
            yield data[position : position + held]
