"""Deciding by the trace id alone says what OpenTelemetry's own samplers say."""

from collections.abc import Sequence

import pytest
from asgiscope.export.pipeline import RATIO_BITS, ratio_bound
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

_FIXED = (ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON, DEFAULT_OFF)
_RATIOS = (TraceIdRatioBased(0), TraceIdRatioBased(0.01), TraceIdRatioBased(1), ParentBasedTraceIdRatio(0.5))


class _Own(Sampler):
    """An application's own."""

    def should_sample(  # noqa: PLR0917 - the interface's
        self,
        parent_context: Context | None,  # noqa: ARG002
        trace_id: int,  # noqa: ARG002
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,  # noqa: ARG002
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002
    ) -> SamplingResult:
        """Never."""
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """Return its name."""
        return "own"


@pytest.mark.parametrize("sampler", _FIXED + _RATIOS, ids=lambda sampler: sampler.get_description())
@given(trace_id=st.one_of(st.integers(1, (1 << 128) - 1), st.sampled_from([1, RATIO_BITS, RATIO_BITS + 1])))
def test_the_same_is_decided(sampler: Sampler, trace_id: int) -> None:
    """For roots of any id, by each sampler that `OTEL_TRACES_SAMPLER` can name."""
    bound = ratio_bound(sampler)
    assert bound is not None
    asked = sampler.should_sample(Context(), trace_id, "GET", SpanKind.SERVER).decision
    assert (trace_id & RATIO_BITS < bound) == (asked is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize("sampler", [_Own(), ParentBased(_Own())], ids=["own", "parent-based own"])
def test_any_other_sampler_is_asked(sampler: Sampler) -> None:
    """Nothing is known of it."""
    assert ratio_bound(sampler) is None
