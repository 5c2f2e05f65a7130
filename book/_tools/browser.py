"""A browser and a local server for the built book, for its screenshots and its test."""

import os
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# The first is Debian's Chromium without windows, which is faster.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "msedge",
    "chrome",
)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 400_000  # ms; a busy machine may take long for a page, and longer for a kernel or a network
# What a browser refuses or misreads under another name; Windows would ask its registry.
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
}


def find_chromium():
    """The path of a Chromium: $NCSN_CHROMIUM, or the first on the path; None where there is none."""
    named = os.environ.get("NCSN_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    return next(filter(None, map(shutil.which, NAMES)), None)


def built_pages(html):
    """Every page of a built book, relative to its folder; the decks of slides are none."""
    found = [page.relative_to(html) for page in html.rglob("*.html") if not page.name.endswith(".slides.html")]
    return sorted(page.as_posix() for page in found if page.parts[0] not in ("_static", "_sources"))


class BookHandler(SimpleHTTPRequestHandler):
    """Serves files by the types that they have on every machine."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES


class QuietHandler(BookHandler):
    """Serves files without a line on the terminal for each."""

    def log_message(self, *arguments):
        """Say nothing."""


@contextmanager
def local_server(html):
    """Serve a folder on a free port of this machine; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(html))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def launch(browser_type, executable, *arguments):
    """Start a browser of Playwright's type, with more arguments on its command line; it finds this machine alone."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    alone = ["--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    sandbox = ["--no-sandbox"] if is_root else []
    return browser_type.launch(executable_path=executable, args=[*alone, *sandbox, *arguments])


@contextmanager
def chromium(executable):
    """Start the browser, without a window; gives Playwright's browser."""
    from playwright.sync_api import sync_playwright  # here, since who only serves the book needs none

    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, executable)
        yield browser
        browser.close()


def listen(context, address, found):
    """A new page that notes what it says to its console, and whom it calls besides the address."""
    page = context.new_page()
    ours = (f"{address}/", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else found.append(f"outside: {r.url}"))
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("console", lambda m: found.append(f"console: {m.text} {m.location['url']}") if m.type == "error" else None)
    page.on("response", lambda r: found.append(f"missing: {r.status} {r.url}") if r.status >= 400 else None)
    return page


def settle(page, patience=PATIENCE):
    """Wait, as long as patience lasts, for what a page does on load: fonts, mathematics, widgets, pictures."""
    page.evaluate(
        """async patience => {
          const wait = (ms) => new Promise(r => setTimeout(r, ms));
          const end = performance.now() + patience;
          const loaded = async () => {
            await document.fonts.ready;
            if (window.MathJax && window.MathJax.startup) await window.MathJax.startup.promise;
            const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
            const [left, top] = [scrollX, scrollY];
            for (const view of views) { // a slider begins to live near the window
              view.parentElement.scrollIntoView({ behavior: "instant" });
              await new Promise(requestAnimationFrame);
              await wait(0);
            }
            scrollTo({ left, top, behavior: "instant" });
            const alive = () => document.querySelectorAll(".widget-subarea > .jupyter-widgets").length;
            const labs = () => document.querySelectorAll("[data-lab]:not(:has(> .ncsn-lab))").length;
            while ((alive() < views.length || labs()) && performance.now() < end) await wait(20);
            const shown = [...document.images].filter(i => i.src && i.getClientRects().length);
            for (const image of shown) image.loading = "eager";
            await Promise.all(shown.map(i => i.decode().catch(() => 0)));
          };
          await Promise.race([loaded(), wait(patience)]);
        }""",
        patience,
    )
    rest(page, patience)


def reveal(page):
    """Show what the questions of a page cover."""
    page.evaluate("document.querySelectorAll('.question .reveal[aria-expanded=false]').forEach(e => e.click())")


def rest(page, patience=PATIENCE):
    """Wait, as long as patience lasts, until a page has drawn what it was told to and no transition is under way."""
    page.evaluate(
        """async patience => {
          const frame = () => new Promise(r => requestAnimationFrame(r));
          const end = performance.now() + patience;
          const ends = (a) => a.playState === "running" && Number.isFinite(a.effect.getComputedTiming().endTime);
          await frame();
          await frame();
          while (document.getAnimations().some(ends) && performance.now() < end) await frame();
          await new Promise(r => requestIdleCallback(r, { timeout: 1000 })); // what draws all the time is never idle
        }""",
        patience,
    )
