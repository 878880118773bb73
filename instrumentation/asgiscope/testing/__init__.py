"""See in your own tests what asgiscope sees in production: in this process, without a network.

    from asgiscope.testing import record

    async def test_orders(async_client):
        with record() as seen:
            await async_client.get("/orders/")
        seen.check(blocking_ms=20, queue_wait_ms=50, hops=6)
        assert [query.summary for query in seen.queries] == ["SELECT shop_order"]

With pytest, the fixture `asgiscope` is such a recording, and the mark checks the whole test:

    @pytest.mark.asgiscope(hops=6)
    async def test_orders(async_client): ...
"""

from asgiscope.testing.limits import Limits
from asgiscope.testing.recording import NotReady, Recording, record
from asgiscope.testing.results import BridgeCall, CallSite, Holder, Query, Refusal, Request, Stall

__all__ = [
    "BridgeCall",
    "CallSite",
    "Holder",
    "Limits",
    "NotReady",
    "Query",
    "Recording",
    "Refusal",
    "Request",
    "Stall",
    "record",
]
