"""`python -m dashboard.screenshots`: a picture of every page, in both languages.

Drives a Chromium against a running dashboard, as a reader would: it signs in,
opens each page and waits until the page has finished its own work (a receipt's
check included). Needs the `playwright` package and a Chromium on this machine;
it downloads neither.
"""

import argparse
import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from playwright.sync_api import BrowserContext, Page, sync_playwright

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_CHROMIUM: Final = Path("/usr/bin/chromium")


def main() -> None:
    """Make the pictures that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="dashboard.screenshots", description=__doc__)
    parser.add_argument("--url", required=True, help="address of a running dashboard")
    parser.add_argument("--key", required=True, help="its access key")
    parser.add_argument("--out", type=Path, required=True, help="directory to write to")
    parser.add_argument("--chromium", type=Path, default=_CHROMIUM)
    parser.add_argument("--languages", nargs="+", default=["zh", "en"])
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    parser.add_argument("--widths", nargs="+", type=int, default=[1440])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for width in options.widths:
        with chromium(options.chromium, width) as context:
            camera = _Camera(context.new_page(), options.url, options.key)
            camera.sign_in(options.out, options.languages, width)
            for language in options.languages:
                for theme in options.themes:
                    camera.take(options.out, language, theme, width)


@contextmanager
def chromium(path: Path, width: int, height: int = 900) -> Iterator[BrowserContext]:
    """Open this machine's Chromium with an empty profile and a fixed zone."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            args=list(FLAGS),
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
        )
        try:
            yield context
        finally:
            context.close()


class _Camera:
    def __init__(self, page: Page, url: str, key: str) -> None:
        self._page, self._url, self._key = page, url, key

    def sign_in(self, out: Path, languages: list[str], width: int) -> None:
        for language in languages:
            self._open(f"/sign-in?lang={language}")
            self._shoot(out, "sign-in", language, "light", width)
        self._page.locator("#key").fill(self._key)
        self._page.locator("button.primary").click()
        self._page.wait_for_url("**/")

    def take(self, out: Path, language: str, theme: str, width: int) -> None:
        wish = f"lang={language}&theme={theme}"
        pages: dict[str, Callable[[], None]] = {
            "overview": lambda: self._open(f"/?{wish}"),
            "ledger": lambda: self._open(f"/ledger?{wish}"),
            "calls": lambda: self._open(f"/calls?{wish}"),
            "calls-denied": lambda: self._open(f"/calls?decision=deny&{wish}"),
            "receipt": self._receipt,
            "receipt-drawer": self._drawer,
            "budget": lambda: self._open(f"/budget?{wish}"),
            "jobs": lambda: self._open(f"/jobs?{wish}"),
        }
        pages |= self._results(wish)
        for name, go in pages.items():
            go()
            self._shoot(out, name, language, theme, width)

    def _results(self, wish: str) -> dict[str, Callable[[], None]]:
        """Return how the newest heat map and the newest joint figure are opened."""
        self._open("/jobs")
        done = self._page.locator("tr:has(a[href$='#result'])").all()
        paths = [it.locator("a").first.get_attribute("href") or "/" for it in done]
        found: dict[str, str] = {}
        for path in paths:
            self._open(path)
            drawn = self._page.locator(".heat-map").count()
            found.setdefault("heat-map" if drawn else "joint-figure", path)
        return {
            name: functools.partial(self._open, f"{path}?{wish}")
            for name, path in found.items()
        }

    def _receipt(self) -> None:
        """Open the receipt of the oldest allowed call, rather of one with a proof."""
        self._open("/calls?window=90d&decision=allow&after=0")
        every, proofs = (self._page.locator(it) for it in ("tr", "tr:has(.zk)"))
        row = (proofs if proofs.count() else every).last
        self._open(row.locator("a.hash").get_attribute("href") or "/")
        self._checked()

    def _drawer(self) -> None:
        self._open("/calls")
        self._page.locator("a.hash").first.click()
        self._checked()

    def _open(self, path: str) -> None:
        self._page.goto(urljoin(self._url, path))
        self._page.wait_for_load_state("networkidle")

    def _checked(self) -> None:
        self._page.locator("[data-checked=done]").wait_for()

    def _shoot(
        self, out: Path, name: str, language: str, theme: str, width: int
    ) -> None:
        size = "" if width == 1440 else f"-{width}"
        shade = "" if theme == "light" else f"-{theme}"
        # A log has no end worth a picture.
        whole = name not in {"calls", "calls-denied", "receipt-drawer", "sign-in"}
        path = out / f"{name}-{language}{shade}{size}.png"
        self._page.screenshot(path=path, full_page=whole)


if __name__ == "__main__":
    main()
