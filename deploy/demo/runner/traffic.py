"""Steady, bounded traffic: a few visitors who each wait for an answer before they ask again.

At most one request per visitor is under way, so a slow shop gets less traffic, never a queue of it.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx

TIMEOUT_SECONDS: Final = 30.0
LIMITS: Final = httpx.Limits(keepalive_expiry=2)
"""An idle connection is used again for less time than uvicorn keeps it (5 s), which may close it any moment."""
PASSWORD: Final = "demo-password"  # noqa: S105 - of the seeded customers, public by design
STAFF: Final = "customer0"
SLUGS: Final = ("enamel-mug-1", "oak-board-3", "clay-pot-4", "desk-lamp-10", "olive-soap-1", "wool-blanket-8")


@dataclass(slots=True)
class Tally:
    """What came back."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By method and path, and status."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests without any answer, by what went wrong."""

    @property
    def requests(self) -> int:
        """Requests sent, answered or not."""
        return self.statuses.total() + self.failures.total()

    def errors(self) -> list[str]:
        """Server errors and failures as text, the most frequent first."""
        bad: Counter[str] = Counter(self.failures)
        for (what, status), count in self.statuses.items():
            if status >= HTTPStatus.BAD_REQUEST:
                bad[f"{what} answered {status}"] += count
        return [f"{count} x {what}" for what, count in bad.most_common()]


class Visitor:
    """One browser or program: cookies of its own, one request at a time."""

    def __init__(self, base_url: str, tally: Tally) -> None:
        self._tally = tally
        # Loopback only: a proxy from the environment must not get in between.
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False, limits=LIMITS
        )

    async def get(self, path: str) -> httpx.Response:
        """Ask for a page."""
        return await self._send("GET", path)

    async def post(self, path: str, **data: str) -> httpx.Response:
        """Send a form, with the CSRF token of the last page that set one."""
        token = self._client.cookies.get("csrftoken", "")
        return await self._send("POST", path, data={"csrfmiddlewaretoken": token, **data})

    async def post_json(self, path: str, **body: str) -> httpx.Response:
        """Send a JSON object."""
        return await self._send("POST", path, json=body)

    async def log_in(self, username: str) -> None:
        """Through allauth's page, as people do."""
        await self.get("/accounts/login/")
        await self.post("/accounts/login/", login=username, password=PASSWORD)

    async def listen(self, path: str, seconds: float) -> None:
        """Read an event stream for some seconds."""
        async with self._client.stream("GET", path) as response:
            self._tally.statuses[f"GET {path}", response.status_code] += 1
            try:
                async with asyncio.timeout(seconds):
                    async for _line in response.aiter_lines():
                        pass
            except TimeoutError:
                return  # heard enough

    def move_to(self, base_url: str) -> None:
        """Ask another service of the same site, with the same cookies."""
        self._client.base_url = httpx.URL(base_url)

    async def leave(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        response = await self._client.request(method, path, **arguments)
        self._tally.statuses[f"{method} {path.partition('?')[0]}", response.status_code] += 1
        return response


Errand = Callable[[Visitor], Awaitable[None]]


async def run(web_url: str, api_url: str, tally: Tally) -> None:
    """Send visitors until cancelled. Requests that fail are counted in `tally`, and the visitor goes on."""
    shoppers = 3
    async with asyncio.TaskGroup() as group:
        for number in range(shoppers):
            group.create_task(_repeat(_shop(number), Visitor(web_url, tally), tally, pause=0.5))
        for number in range(2):
            group.create_task(_repeat(_watch, Visitor(web_url, tally), tally, pause=0.1 + number))
        group.create_task(_repeat(_look_at_photos, Visitor(web_url, tally), tally, pause=4))
        group.create_task(_repeat(_buy, Visitor(web_url, tally), tally, pause=5))
        export, account = _logged_in(STAFF, _export), _logged_in("customer7", _see_account(api_url))
        group.create_task(_repeat(export, Visitor(web_url, tally), tally, pause=5))
        group.create_task(_repeat(account, Visitor(web_url, tally), tally, pause=3))
        for _ in range(2):
            group.create_task(_repeat(_call_api(), Visitor(api_url, tally), tally, pause=0.6))
        group.create_task(_repeat(_get_token, Visitor(api_url, tally), tally, pause=4))


async def _repeat(errand: Errand, visitor: Visitor, tally: Tally, *, pause: float) -> None:
    try:
        while True:
            try:
                await errand(visitor)
            except httpx.HTTPError as error:
                tally.failures[f"{type(error).__name__}: {error}"] += 1
            await asyncio.sleep(pause)
    finally:
        await visitor.leave()


def _in_turn(paths: Sequence[str]) -> Errand:
    turn = itertools.cycle(paths)

    async def errand(visitor: Visitor) -> None:
        await visitor.get(next(turn))

    return errand


def _shop(number: int) -> Errand:
    slugs = itertools.cycle(SLUGS[number:] + SLUGS[:number])

    async def errand(visitor: Visitor) -> None:
        for path in ("/", "/products/", f"/products/{next(slugs)}/", "/cart/"):
            await visitor.get(path)
            await asyncio.sleep(0.5)

    return errand


async def _watch(visitor: Visitor) -> None:
    await visitor.get("/live/")
    await visitor.listen("/events/stock/", seconds=10)


async def _look_at_photos(visitor: Visitor) -> None:
    await visitor.get("/contact-sheet/")


async def _buy(visitor: Visitor) -> None:
    await visitor.log_in("customer3")
    await visitor.get(f"/products/{SLUGS[0]}/")
    await visitor.post(f"/cart/add/{SLUGS[0]}/")
    await visitor.get("/cart/")
    await visitor.post("/checkout/")
    await visitor.post("/accounts/logout/")


def _logged_in(username: str, then: Errand) -> Errand:
    """Log in once, then run the errand each time."""
    done = False

    async def errand(visitor: Visitor) -> None:
        nonlocal done
        if not done:
            await visitor.log_in(username)
            done = True
        await then(visitor)

    return errand


async def _export(visitor: Visitor) -> None:
    await visitor.get("/reports/order-lines.csv")


def _call_api() -> Errand:
    return _in_turn(
        (
            "/api/products/",
            *(f"/api/products/{slug}/stock/" for slug in SLUGS[:2]),
            "/api/summary/",
            "/api/recent-purchases/",
        )
    )


async def _get_token(visitor: Visitor) -> None:
    await visitor.post_json("/api/token/", username="customer5", password=PASSWORD)


def _see_account(api_url: str) -> Errand:
    async def errand(visitor: Visitor) -> None:
        visitor.move_to(api_url)  # the log-in was the other service's; the session is both's
        await visitor.get("/api/account/")

    return errand
