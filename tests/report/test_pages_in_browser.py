"""Pages in a real browser: figures are drawn, are interactive, need no network, and fit a phone.

Chromium is the machine's own, driven by Playwright, which downloads none. Without either the tests are skipped.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regen
from regen.figures.export import browser
from regen.report import InspectionData, sections_of, write

pytestmark = [
    pytest.mark.skipif(browser() is None, reason="there is no Chromium or Chrome on the path"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
    # Playwright's own event loop is closed by it, which asyncio notices late.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

SIZES = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
PATIENCE = 180_000
"""Milliseconds to wait for anything: a browser that was never started here takes minutes on a busy machine."""
DRAWN = "document.querySelectorAll('.plot.drawn .live .main-svg').length > 0"


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small forecaster: lines, bars, maps in colours, dates."""
    y = np.sin(np.arange(120) / 3) + 2
    model = regen.Forecaster("lstm", 12, 3, hidden=5, max_epochs=2, random_state=0).fit(y)
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write(model, sections_of(model, InspectionData(y)), path, "A forecaster")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser(), args=["--no-sandbox"], timeout=PATIENCE
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(chromium: Any, paper: Path) -> Iterator[Any]:
    """Open the page at a width, in light or dark; errors and requests are noted on it."""
    contexts = []

    def opened(width: int = 1280, scheme: str = "light", path: Path = paper, **options: Any) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.troubles, page.requests = [], []
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and page.troubles.append(message.text),
        )
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def scrolled(page: Any) -> int:
    """Go through the whole page until every figure is drawn; how many there are."""
    count = page.locator(".plot").count()
    for k in range(count):
        page.locator(".plot").nth(k).scroll_into_view_if_needed()
        page.wait_for_selector(f"#figure-{k + 1}.drawn .live .main-svg")
    return int(count)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_figure_is_drawn(visit: Any, width: int, scheme: str) -> None:
    """No error, no request but the page itself, no wider than the screen, and marks in every figure."""
    page = visit(width, scheme)
    count = scrolled(page)
    assert count >= 8
    assert page.troubles == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for k in range(1, count + 1):
        marks = page.locator(f"#figure-{k} .live .trace, #figure-{k} .live .hm").count()
        assert marks > 0, f"figure {k} is empty"
        box = page.locator(f"#figure-{k} .live .main-svg").first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1
    ink, ground = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(c => c.match(/\\\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0))".replace("\\\\d", "\\d")
    )
    assert (ink > ground) == (scheme == "dark") and abs(ink - ground) > 400


def test_a_figure_has_hover_text(visit: Any) -> None:
    """At the end of a line its values appear, and they are those of the last epoch; off the figure they go."""
    page = visit()
    figure = page.locator("#figure-1")
    figure.scroll_into_view_if_needed()
    page.wait_for_selector("#figure-1.drawn .nsewdrag")
    box = figure.locator(".nsewdrag").bounding_box()
    assert page.locator("#figure-1 .hoverlayer text").count() == 0
    end, middle = box["x"] + box["width"] - 3, box["y"] + box["height"] / 2
    page.mouse.move(end - 40, middle)
    page.mouse.move(end, middle, steps=4)
    page.wait_for_selector("#figure-1 .hoverlayer text")
    words = [line.strip() for line in page.locator("#figure-1 .hoverlayer text").all_text_contents()]
    assert words[0] == "2" and any("training" in line for line in words)
    page.mouse.move(2, 2, steps=4)
    page.wait_for_selector("#figure-1 .hoverlayer text", state="detached")


def test_without_javascript_there_are_drawings(visit: Any) -> None:
    """Every figure is drawn by the page itself, and is seen."""
    page = visit(java_script_enabled=False)
    stills = page.locator(".still svg")
    assert stills.count() == page.locator(".plot").count() >= 8
    for k in range(stills.count()):
        assert stills.nth(k).is_visible() and stills.nth(k).bounding_box()["height"] > 30
    assert page.locator(".live").first.is_hidden()


def test_on_paper_the_drawings_are_shown(visit: Any) -> None:
    """In print, drawings that fit any width take the place of what was drawn for the screen, in light colours."""
    page = visit(scheme="dark")
    page.wait_for_function(DRAWN)
    page.emulate_media(media="print")
    assert page.locator("#figure-1 .still svg").is_visible() and page.locator("#figure-1 .live").is_hidden()
    assert page.evaluate("getComputedStyle(document.querySelector('.plot')).filter") == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_keyboard_reaches_everything(visit: Any) -> None:
    """The first key press offers the way past the links; what has the focus is outlined; numbers open by a key."""
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.locator("#figure-1 ~ details summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#figure-1 ~ details table").first.is_visible()


def test_a_request_of_a_page_is_stopped(visit: Any, paper: Path, tmp_path: Path) -> None:
    """The wrong twin: an image from elsewhere in the page is refused by the page's own policy, and is noticed."""
    html = paper.read_text(encoding="utf-8")
    twin = tmp_path / "twin.html"
    twin.write_text(
        html.replace("<main", '<img src="https://example.invalid/a.png"><main', 1), encoding="utf-8"
    )
    page = visit(path=twin)
    page.wait_for_function(DRAWN)
    assert any("Content Security Policy" in words for words in page.troubles)
