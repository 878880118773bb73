"""`/api/middleware`: the chain, the hops it costs, and what to change first."""

import pytest
from asgiscope_collector.queries.middleware.middleware import adaptations, changes, own_hooks

from tests.collector.conftest import Running
from tests.collector.shop import CHAIN, a_shop


def test_the_chain_with_what_each_layer_costs(running: Running) -> None:
    """The newest load of each environment; the hops of adaptations beside those that requests really made."""
    service = a_shop(running)
    whole = running.get("/api/middleware", service=service)
    production, staging = whole["chains"]
    pages = [running.get("/api/middleware", service=service, limit=1, offset=n) for n in range(3)]
    assert [page["chains"] for page in pages] == [[production], [staging], []]
    assert [page["total"] for page in (whole, *pages)] == [2, 2, 2, 0]
    assert (production["environment"], production["version"]) == ("production", "2.0")
    assert staging["environment"] == "staging"
    assert [(layer["name"], layer["mode"], layer["adapted"]) for layer in production["layers"]] == list(CHAIN)
    assert (production["hops"], production["layers"][0]["hops"]) == (1, 1)
    assert (production["requests"], staging["requests"]) == (96, 41)
    geo = production["layers"][1]
    assert (geo["calls"], geo["wait_ns"], geo["resume_ns"]) == (80, 40_000_000, 40_000_000)
    (change,) = production["changes"]
    assert change["layers"] == ["vendor.geoip.GeoMiddleware", "shop.middleware.OldMiddleware"]
    assert (change["saves_hops"], "2 more before them" in change["reason"]) == (1, True)


def test_adaptations_are_those_that_were_sent() -> None:
    """The rules of Django's `load_middleware`, from the view outwards."""
    assert adaptations([mode for _, mode, _ in CHAIN]) == [adapted for _, _, adapted in CHAIN]


@pytest.mark.parametrize(
    ("modes", "hops", "saved"),
    [
        (["both", "both", "async"], 0, {}),
        (["both", "sync", "async"], 1, {"1": 1}),
        (["sync", "async", "sync", "async"], 2, {"0": 1, "2": 1, "0 2": 1}),
        (["sync", "sync", "async"], 1, {"0 1": 1}),
        (["sync", "both", "sync", "async"], 1, {"0 2": 1}),
        (["both", "sync"], 0, {}),
    ],
)
def test_what_a_change_saves(modes: list[str], hops: int, saved: dict[str, int]) -> None:
    """Each stretch of the chain made async, alone; or all of them side by side."""
    names = [str(n) for n in range(len(modes))]
    assert sum(adapted == "sync_to_async" for adapted in adaptations(modes)) == hops
    found = changes(names, modes, [0] * len(modes))
    assert {" ".join(change.layers): change.saves_hops for change in found} == saved
    assert [change.saves_hops for change in found] == sorted(saved.values(), reverse=True)


HOOKS = [
    ["SecurityMiddleware.process_request", "SecurityMiddleware.process_response"],
    ["CommonMiddleware.process_request", "CommonMiddleware.process_response"],
    ["CsrfViewMiddleware.process_request", "C.process_view", "CsrfViewMiddleware.process_response"],
    ["XFrameOptionsMiddleware.process_response"],
]
"""Django's, which run in a thread each while their middleware runs async."""


@pytest.mark.parametrize(
    ("place", "saved"),
    [(0, {"async-capable": 1, "last": 7}), (2, {"async-capable": -3, "last": 3}), (4, {"async-capable": -6})],
    ids=["first", "third", "last"],
)
def test_a_change_that_would_add_hops_says_so(place: int, saved: dict[str, int]) -> None:
    """Outside of a sync-only middleware Django's own cost no hop: made async, they do again."""
    functions = [*HOOKS[:place], [], *HOOKS[place:], []]
    modes = ["both"] * 5 + ["async"]
    modes[place] = "sync"
    found = changes([str(n) for n in range(6)], modes, [own_hooks(each) for each in functions])
    assert {change.title.split()[-1]: change.saves_hops for change in found} == saved
    assert all(change.layers == [str(place)] for change in found)
    assert all(("saves no hop" in change.reason) is (change.saves_hops <= 0) for change in found)
