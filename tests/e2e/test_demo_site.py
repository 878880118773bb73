"""The demo shop works as a shop: with its problems under a lifted guard, and fixed with the guard on."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, asgi_command, free_port

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
SLUG = "enamel-mug-1"


def serve(application: str, env: Mapping[str, str], log: Path) -> Server:
    """Return an application of the demo folder under uvicorn."""
    port = free_port()
    command = [*asgi_command("uvicorn", application, port), "--timeout-graceful-shutdown", "2"]
    return Server(command, port, cwd=DEMO, env=env, log=log)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a migrated and seeded shop."""
    data = tmp_path_factory.mktemp("shop")
    for command in ("migrate", "seed"):
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=DEMO,
            env={**os.environ, "SHOP_DATA": str(data), "ASGISCOPE_DISABLED": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return data


@pytest.fixture(scope="module", params=["as planted", "all fixed"])
def shop(request: pytest.FixtureRequest, seeded: Path) -> Iterator[str]:
    """Yield the shop under uvicorn, with its supplier and its background task; gives its base URL.

    As planted it needs DJANGO_ALLOW_ASYNC_UNSAFE. Fixed it must work with Django's guard on: that every page
    still answers is the proof that the fixed forms are right.
    """
    as_planted = request.param == "as planted"
    log = seeded / f"{request.param}.log"
    with serve("supplier:application", {}, seeded / "supplier.log") as supplier:
        env = {
            "DJANGO_SETTINGS_MODULE": "shopsite.settings",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1" if as_planted else "",
            "SHOP_FIX": "" if as_planted else "all",
            "SHOP_DATA": str(seeded),
            "SHOP_SUPPLIER_URL": supplier.url,
            "SHOP_BACKGROUND": "1",
            "ASGISCOPE_DISABLED": "1",
        }
        with serve("shopsite.asgi:application", env, log) as site:
            yield site.url
    assert "Traceback" not in log.read_text(), "the shop logged an error"


@pytest.fixture
def visitor(shop: str) -> Iterator[httpx.Client]:
    """Yield a browser without cookies."""
    with httpx.Client(base_url=shop, timeout=30, trust_env=False) as client:
        yield client


def send(visitor: httpx.Client, path: str, **data: str) -> httpx.Response:
    """Post a form with the CSRF token of the page before."""
    return visitor.post(path, data={"csrfmiddlewaretoken": visitor.cookies["csrftoken"], **data})


def log_in(visitor: httpx.Client, username: str) -> None:
    """Through allauth's page."""
    visitor.get("/accounts/login/").raise_for_status()
    answer = send(visitor, "/accounts/login/", login=username, password="demo-password")  # noqa: S106 - seeded
    assert (answer.status_code, answer.headers["location"]) == (302, "/")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/products/",
        "/products/?category=garden",
        f"/products/{SLUG}/",
        "/contact-sheet/",
        "/live/",
        "/cart/",
        "/accounts/login/",
        "/accounts/signup/",
        "/api/products/",
        f"/api/products/{SLUG}/stock/",
        "/api/summary/",
        "/api/recent-purchases/",
        "/api/account/",
    ],
)
def test_page_answers(visitor: httpx.Client, path: str) -> None:
    """Every page that anyone may see."""
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert len(answer.content) > 20


def test_unknown_products_are_404(visitor: httpx.Client) -> None:
    """A wrong address is the visitor's error, not the shop's."""
    for path in ("/products/no-such-thing/", "/api/products/no-such-thing/stock/"):
        assert visitor.get(path).status_code == 404


def test_a_customer_buys(visitor: httpx.Client) -> None:
    """Log in, fill the cart, pay, and see what was bought; nobody else may see it."""
    log_in(visitor, "customer3")
    visitor.get(f"/products/{SLUG}/").raise_for_status()
    for _ in range(2):
        assert send(visitor, f"/cart/add/{SLUG}/").headers["location"] == "/cart/"
    assert re.search(r"Enamel mug 1</td><td>2</td>", visitor.get("/cart/").text)

    paid = send(visitor, "/checkout/")
    assert paid.status_code == 302
    order = paid.headers["location"]
    assert re.fullmatch(r"/orders/\d+/", order)
    assert "2 x Enamel mug 1" in visitor.get(order).text
    assert "Nothing in it yet" in visitor.get("/cart/").text
    assert visitor.get("/api/account/").json() == {"username": "customer3", "tier": "member"}

    with httpx.Client(base_url=visitor.base_url, timeout=30, trust_env=False) as other:
        log_in(other, "customer4")
        assert other.get(order).status_code == 404


def test_only_staff_may_export(visitor: httpx.Client) -> None:
    """The report is CSV for staff, and refused to everybody else."""
    assert visitor.get("/reports/order-lines.csv").status_code == 403
    log_in(visitor, "customer0")
    header, first, *_ = visitor.get("/reports/order-lines.csv").text.splitlines()
    assert header == "order,placed,customer,product,quantity,unit price,line total"
    assert first.count(",") == header.count(",")


def test_token(visitor: httpx.Client) -> None:
    """The right password gives a token; a wrong one, an unknown user and a broken body each a clear error."""
    given = visitor.post("/api/token/", json={"username": "customer5", "password": "demo-password"})
    assert given.status_code == 200
    assert given.json()["token"].startswith("customer5:")
    for body, status in (
        ({"username": "customer5", "password": "wrong"}, 401),
        ({"username": "nobody", "password": "wrong"}, 401),
        ({"username": "customer5"}, 400),
        ([], 400),
    ):
        refused = visitor.post("/api/token/", json=body)
        assert refused.status_code == status
        assert set(refused.json()) == {"error"}


def test_event_stream(visitor: httpx.Client) -> None:
    """Low stock comes as server-sent events, one after another."""
    with visitor.stream("GET", "/events/stock/") as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = [line for line, _ in zip(filter(None, response.iter_lines()), range(3), strict=False)]
    assert len(events) == 3
    assert all(event.startswith('data: [{"slug": ') for event in events)
