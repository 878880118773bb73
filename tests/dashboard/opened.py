"""One page in the browser, and everything that went wrong on it."""

import time
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.tools import ROOT

VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


AXE: Final = """
async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const runOnly = { type: "tag", values: tags };
  const { violations } = await axe.run(document, { resultTypes: ["violations"], runOnly });
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}
"""
LOOKS: Final = tuple((width, theme) for width in (1440, 360) for theme in ("light", "dark"))


class Opened:
    """A page with its own storage; what it logs, throws, is refused or asks of other hosts is kept."""

    def __init__(self, browser: Browser, *, width: int, theme: str, quiet: bool) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=cast('Literal["light", "dark"]', theme),
            reduced_motion="reduce",
        )
        self._quiet = quiet
        self._problems: list[str] = []
        self._hosts: set[str] = set()
        self.page = self._context.new_page()
        self.page.add_init_script(VIOLATIONS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._problems.append(f"uncaught: {error}"))
        self.page.on("dialog", lambda dialog: self._problems.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._problems.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        self._hosts.add(urlsplit(request.url).netloc)

    def go(self, url: str, view: str) -> Page:
        """Show a view and wait until it has something to show."""
        self._host = urlsplit(url).netloc
        self.page.goto(f"{url}/#/{view}")
        expect(self.page.locator("main .state[role=status]")).to_have_count(0, timeout=20_000)
        return self.page

    def check(self, also: str = "") -> None:
        """Fail where anything went wrong; a page opened with `quiet=False` may log, but not throw.

        `also` is another host that the browser was sent to.
        """
        violations = self.page.evaluate("window.violations")
        assert violations == [], "the content security policy refused something"
        assert self._hosts - {also} == {self._host}, "another host was asked for something"
        grave = ("uncaught", "dialog")
        problems = [problem for problem in self._problems if self._quiet or problem.startswith(grave)]
        assert not problems, "\n".join(problems)

    def close(self) -> None:
        """Forget the page."""
        self._context.close()


def pointed_at(page: Page, text: str, *, step: int = 8) -> tuple[float, float]:
    """Move the mouse over the timeline until the tooltip says `text`; where that was."""
    canvas = page.locator("canvas.lanes-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    tooltip = page.locator(".tooltip")
    seen = set()
    for down in range(2, int(box["height"]), step):
        for share in (0.5, 0.3, 0.7, 0.15, 0.85, 0.03, 0.97):
            x, y = box["x"] + box["width"] * share, box["y"] + down
            page.mouse.move(x, y)
            page.evaluate("() => new Promise(requestAnimationFrame)")
            said = tooltip.inner_text() if tooltip.count() else ""
            seen.add(said)
            if text in said.replace("\u202f", " "):
                return x, y
    raise AssertionError(f"nothing on the timeline says {text!r}; it says {sorted(seen)}")


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people from using the page, at its present width and in its present colours."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((ROOT / "dashboard/node_modules/axe-core/axe.min.js").read_text())
    found: list[str] = page.evaluate(AXE)
    return found


def accessible(page: Page) -> None:
    """Fail if the state that the page is in has anything serious: on a desk, on a phone, in light and in dark."""
    wrong = []
    size, dark = page.viewport_size, page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for width, theme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=cast('Literal["light", "dark"]', theme), reduced_motion="reduce")
        wrong += [f"{width} px, {theme}: {each}" for each in serious(page)]
    if size is not None:
        page.set_viewport_size(size)
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    assert not wrong, "\n".join(wrong)


def eventually(page: Page, expression: str, argument: object = None) -> None:
    """Wait until a JavaScript expression is true.

    Playwright's own `wait_for_function` evaluates text within the page, which the page's policy refuses.
    """
    deadline = time.monotonic() + 20
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"still not true: {expression}"
        page.wait_for_timeout(50)


def plain(locator: Locator) -> str:
    """Return the text of an element, with ordinary spaces before units."""
    return locator.inner_text().replace("\u202f", " ").replace("\xa0", " ")
