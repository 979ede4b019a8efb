"""The built book, in a browser that reaches no other machine."""

import functools
import html.parser
import http.server
import os
import re
import shutil
import threading
import urllib.parse

import pytest
from PIL import Image

from .conftest import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"desktop": 1280, "phone": 390}

# What can be seen of a page: how it renders mathematics, pictures, and how wide it is.
LOOK = r"""async () => {
    if (window.MathJax) await MathJax.startup.promise;
    const all = selector => [...document.querySelectorAll(selector)];
    for (const image of all('img')) image.loading = 'eager';
    await Promise.all(all('img').map(image => image.decode().catch(() => {})));
    const article = document.querySelector('article');
    const words = article ? article.cloneNode(true) : document.body.cloneNode(true);
    words.querySelectorAll('pre, code, mjx-container, script, style').forEach(e => e.remove());
    const bare = image => !(image.complete && image.naturalWidth && image.naturalHeight);
    const rescaled = image => image.naturalWidth <= 700 && image.clientWidth &&
        Math.abs(image.clientWidth - image.naturalWidth) > 1;
    const sizes = i => `${i.src} has ${i.naturalWidth} px, shown at ${i.clientWidth}`;
    const raw = /\\\(|\\\[|\$\$|\\(frac|mathbf|lambda|begin)\b|\bnp\.\w+\(/g;
    const unrendered = element => !element.querySelector('mjx-container');
    return {
        empty: all('img').filter(bare).map(image => image.src),
        unseen: all('article figure').filter(f => !f.querySelector('img, table'))
            .map(figure => figure.id),
        rescaled: all('article img').filter(rescaled).map(sizes),
        math: all('.math').length,
        unrendered: all('.math').filter(unrendered).map(e => e.textContent),
        errors: all('mjx-merror').map(e => e.textContent),
        raw: words.textContent.match(raw) || [],
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
}"""


class Links(html.parser.HTMLParser):
    """Collect what a page points to, and the places in it that can be pointed to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.pages, self.files = set(), set(), set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.pages.add(found["href"])
        if tag in {"link", "script", "img", "source", "iframe"}:
            self.files |= {found[key] for key in ("href", "src") if found.get(key)}


def browser_path():
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module", params=["reference", "yours"])
def site(request):
    if request.param == "reference":
        return request.getfixturevalue("reference_site")
    built = ROOT / "_build" / "html"
    if not (built / "index.html").is_file():
        pytest.skip("there is no book of your own run to check: make book")
    return built


def pages(site):
    return sorted(path for path in site.glob("*.html") if path.stem not in {"genindex", "search"})


@pytest.fixture(scope="module")
def served(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    path = browser_path()
    if not path:
        pytest.skip("the built book is not checked in a browser: no Chromium here (set CHROMIUM)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        folder = str(tmp_path_factory.mktemp("profile"))
        context = play.chromium.launch_persistent_context(
            folder, executable_path=path, headless=True, args=FLAGS
        )
        yield context
        context.close()


@pytest.mark.parametrize("device", WIDTHS)
def test_every_page_is_whole_in_a_browser(site, served, browser, device):
    for path in pages(site):
        page = browser.new_page()
        page.set_viewport_size({"width": WIDTHS[device], "height": 900})
        problems = []

        def block(route, problems=problems):
            host = urllib.parse.urlsplit(route.request.url).hostname
            if host == "127.0.0.1":
                route.continue_()
            else:
                problems.append(f"asks for {route.request.url}")
                route.abort()

        page.route("**/*", block)
        page.on("pageerror", lambda e, problems=problems: problems.append(f"script: {e}"))
        page.on("requestfailed", lambda r, problems=problems: problems.append(f"failed {r.url}"))
        page.on(
            "console",
            lambda m, problems=problems: problems.append(m.text) if m.type == "error" else None,
        )
        page.on(
            "response",
            lambda r, problems=problems: (
                problems.append(f"{r.status} {r.url}") if r.status >= 400 else None
            ),
        )
        page.goto(f"{served}/{path.name}", wait_until="networkidle")
        seen = page.evaluate(LOOK)
        page.close()
        assert not problems, f"{path.name}: {problems}"
        assert not seen["empty"], f"{path.name}: pictures without size"
        assert not seen["unseen"], f"{path.name}: figures without a picture or a table"
        assert not seen["unrendered"], f"{path.name}: mathematics is not rendered"
        assert not seen["errors"], f"{path.name}: wrong mathematics"
        assert not seen["raw"], f"{path.name}: raw TeX, or a number as NumPy has it"
        assert seen["wide"] <= 1, f"{path.name} is {seen['wide']} px wider than a {device}"
        if device == "desktop":
            assert not seen["rescaled"], f"{path.name}: pictures are not at their true pixels"
        source = ROOT / "book" / f"{path.stem}.py"
        if source.is_file() and "$$" in source.read_text("utf-8"):
            assert seen["math"], f"{path.name} has equations, none is shown"


def test_a_page_opens_from_the_disk_too(site, browser):
    page = browser.new_page()
    problems = []
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((site / "01_introduction.html").as_uri(), wait_until="networkidle")
    seen = page.evaluate(LOOK)
    page.close()
    assert not problems
    assert seen["math"]
    assert not seen["unrendered"]


def test_links_and_files_resolve(site):
    parsed = {path.name: Links(path) for path in site.glob("*.html")}
    for name, links in parsed.items():
        for link in links.pages | links.files:
            url = urllib.parse.urlsplit(link)
            if url.scheme in {"http", "https", "mailto", "data"}:
                continue
            target = urllib.parse.unquote(url.path) or name
            assert (site / target).exists(), f"{name}: there is no {target}"
            anchor = urllib.parse.unquote(url.fragment)
            if anchor and target in parsed:
                known = parsed[target].anchors
                assert anchor in known, f"{name}: {target} has no place {anchor!r}"


def test_every_page_of_the_contents_is_there(site):
    listed = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text())
    assert {path.stem for path in pages(site)} == set(listed)
    assert all("traceback" not in path.read_text("utf-8").lower() for path in pages(site))


def test_nothing_comes_from_another_host(site):
    for path in pages(site):
        for link in Links(path).files:
            assert not urllib.parse.urlsplit(link).netloc, f"{path.name} loads {link}"
    for path in site.rglob("*"):
        if path.suffix in {".html", ".js", ".css"}:
            text = path.read_text("utf-8", errors="replace")
            found = re.search(r"https?://[\w.-]*(cdn|unpkg|googleapis|gstatic)[^\s\"']*", text)
            assert not found, f"{path.name}: {found and found[0]}"


def test_figures_have_an_opaque_background(site):
    """So that they can be read in dark mode."""
    for path in (site / "_images").glob("*.png"):
        with Image.open(path) as image:
            alpha = image.convert("RGBA").getchannel("A").getextrema()
        assert alpha == (255, 255), f"{path.name} is transparent"
