"""A browser and a local server for the built book, for its screenshots and its test."""

import os
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge", "chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def find_chromium():
    """The path of a Chromium: $NCSN_CHROMIUM, or the first on the path; None where there is none."""
    named = os.environ.get("NCSN_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    return next(filter(None, map(shutil.which, NAMES)), None)


def built_pages(html):
    """Every page of a built book, relative to its folder."""
    found = [page.relative_to(html) for page in html.rglob("*.html")]
    return sorted(page.as_posix() for page in found if page.parts[0] not in ("_static", "_sources"))


class QuietHandler(SimpleHTTPRequestHandler):
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
    """Start a browser of Playwright's type, with more arguments on its command line."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return browser_type.launch(
        executable_path=executable, args=["--no-sandbox", *arguments] if is_root else list(arguments)
    )


@contextmanager
def chromium(executable):
    """Start the browser, without a window; gives Playwright's browser."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, executable)
        yield browser
        browser.close()


def listen(context, address, found):
    """Note what a page says to its console, and whom it calls; only this machine answers."""
    page = context.new_page()

    def answer(route):
        found.append(f"outside: {route.request.url}")
        route.abort()

    context.route(lambda url: not url.startswith((f"{address}/", "data:", "blob:")), answer)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("response", lambda r: found.append(f"missing: {r.status} {r.url}") if r.status >= 400 else None)
    return page


def settle(page):
    """Wait until a page has done what it does on load: fonts, mathematics, widgets, pictures."""
    page.evaluate(
        """async () => {
          await document.fonts.ready;
          if (window.MathJax && window.MathJax.startup) await window.MathJax.startup.promise;
          const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
          const alive = () => document.querySelectorAll(".widget-subarea > .jupyter-widgets").length;
          const labs = () => document.querySelectorAll("[data-lab]:not(:has(> .ncsn-lab))").length;
          for (let i = 0; i < 80 && (alive() < views.length || labs()); i++) await new Promise(r => setTimeout(r, 50));
          await Promise.all([...document.images].filter(i => i.src).map(i => i.decode().catch(() => 0)));
          await new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)));
        }"""
    )
