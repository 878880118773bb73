"""Each library, used as its documentation says and as its users are known to misuse it.

A healthy use leaves no finding that its user would call false or noise, and neither costs nor answers anything else
than without asgiscope. A misuse is the right finding, at the line of whoever can change it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.compat.libraries.catalogue import Library, Misuse
from tests.compat.libraries.harness import LOAD_SECONDS, Bench, differences, findings
from tests.compat.libraries.known import LIBRARIES
from tests.measuring import Length, measure
from tests.sink import Sink, SpanView

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_SENT_SECONDS = 3
"""Within which a site sends what it has recorded."""


@pytest.fixture(scope="module", params=LIBRARIES, ids=str)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Library, Bench, Sink]]:
    """Yield a library's site, ready to be run."""
    library: Library = request.param
    with Sink() as sink:
        bench = Bench(library, tmp_path_factory.mktemp(library.name), sink)
        with bench.services():
            yield library, bench, sink


def test_a_healthy_use_costs_nothing_and_has_no_finding(
    bench: tuple[Library, Bench, Sink], record_property: Callable[[str, object], None]
) -> None:
    """Answers, hops and queries are equal with asgiscope and without; light load leaves no finding."""
    library, made, sink = bench
    with made.running("without", SITE_WITHOUT_ASGISCOPE="1") as site:
        bare = site.behaviour()
    with made.running("with") as site:
        ours = site.behaviour()
        assert not differences(ours, bare)
        true: set[str] = set()

        def load() -> Counter[str]:
            begun = time.time_ns()
            statuses = site.load(LOAD_SECONDS)
            assert set(statuses) <= {200, 101}, statuses
            time.sleep(_SENT_SECONDS)
            found = findings([span for span in sink.spans if span.start >= begun])
            true.update(name for name in found if name in library.true_findings)
            return Counter({name: len(spans) for name, spans in found.items() if name not in true})

        # On a machine that does other things too a loop may be late for no fault of anybody's: what is noise of a
        # library comes again.
        measure(load, lambda noise: [Length(name, count, most=0) for name, count in noise.items()])
        assert "asgiscope failed" not in site.server.output()
    record_property("notes", "; ".join(f"rightly: {name}" for name in sorted(true)))


def test_a_known_misuse_is_the_right_finding(bench: tuple[Library, Bench, Sink]) -> None:
    """With its kind, at the function of whoever can change it."""
    library, made, sink = bench
    if not library.misuses:
        pytest.skip("no misuse of it is known")
    for misuse in library.misuses:
        _assert_found(misuse, made, sink)


def _assert_found(misuse: Misuse, made: Bench, sink: Sink) -> None:
    path = misuse.path.partition("?")[0]

    def ended(spans: list[SpanView]) -> bool:
        return any(
            span.get("url.path") == path and "asgiscope.ongoing" not in span.attributes
            for span in spans[before:]
        )

    with made.running("misused") as site:
        site.get(misuse.path)  # what is imported at the first request is another matter
        before = len(sink.spans)
        site.get(misuse.path)
        sink.wait_for(ended, timeout_s=60)
    found = findings(sink.spans[before:])
    spans = found.get(f"{misuse.kind} {misuse.function}", [])
    assert spans, sorted(found)
    if misuse.user_object:
        assert {span.get("asgiscope.user_object") for span in spans} == {misuse.user_object}
