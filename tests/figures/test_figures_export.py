"""A chart becomes a file by whatever program can draw it here; where none can, the error names what is needed."""

import re
import struct
from pathlib import Path
from typing import Any

import pytest

from regen import figures
from regen.figures import export

SENTENCE = "Writing a {} file needs {}. Run: pip install 'regen[pictures]', or write a .svg or .html file."


@pytest.fixture
def figure() -> Any:
    """A figure of two lines."""
    return figures.loss_per_step({"a": [3.0, 2.0], "b": [1.0, 2.0]})


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without kaleido and without a browser."""
    monkeypatch.setattr(export, "installed", lambda package: False)
    monkeypatch.setattr(export, "browser", lambda: None)


def test_svg_needs_nothing(figure: Any, bare: None, tmp_path: Path) -> None:
    """Without a browser the SVG is regen's own drawing, of the requested width."""
    path = figures.write(figure, tmp_path / "a.svg", width=400)
    text = path.read_text(encoding="utf-8")
    assert text == figures.svg(figure, 400)
    assert 'viewBox="0 0 400 320"' in text


def test_html_opens_offline(figure: Any, bare: None, tmp_path: Path) -> None:
    """The page holds plotly.js and the figure, and names no other address."""
    text = figures.write(figure, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot(" in text and len(text) > 4_000_000
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', text)


@pytest.mark.parametrize(
    ("ending", "needs"),
    [
        (".png", "kaleido, or Chromium or Chrome on the path, and neither is installed"),
        (".pdf", "kaleido, which is not installed"),
    ],
)
def test_pictures_say_what_they_need(
    figure: Any, bare: None, tmp_path: Path, ending: str, needs: str
) -> None:
    """A PNG or PDF that nothing here can draw is refused, and no file is left."""
    with pytest.raises(ImportError, match=f"^{re.escape(SENTENCE.format(ending, needs))}$"):
        figures.write(figure, tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


def test_other_endings_are_refused(figure: Any, tmp_path: Path) -> None:
    """An ending that is none of the four is refused."""
    with pytest.raises(ValueError, match=r"^'.*a\.gif' does not end in \.html, \.svg, \.png or \.pdf\.$"):
        figures.write(figure, tmp_path / "a.gif")


def test_a_picture_stays_when_drawing_fails(
    figure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that draws nothing is an error, and the file that was there stays."""
    monkeypatch.setattr(export, "installed", lambda package: False)
    monkeypatch.setattr(export, "browser", lambda: "true")
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    with pytest.raises(
        OSError, match=r"^'true' could not draw the figure\. Write a \.html file, or install kaleido\.$"
    ):
        figures.write(figure, path)
    assert path.read_bytes() == b"before"


def test_kaleido_draws_where_it_works(figure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the format and size; the file is what it returns."""
    calls: list[Any] = []

    def drawn(self: Any, format: str, **size: Any) -> bytes:
        calls.append((format, size))
        return b"picture"

    monkeypatch.setattr(export, "installed", lambda package: package == "kaleido")
    monkeypatch.setattr(type(figure.plotly()), "to_image", drawn)
    assert figures.write(figure, tmp_path / "a.pdf", width=300, scale=3).read_bytes() == b"picture"
    assert calls == [("pdf", {"width": 300, "height": 320, "scale": 3.0})]


def test_where_kaleido_fails_the_next_one_draws(
    figure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kaleido with a broken browser is passed over; where nothing else can draw, the error quotes it."""

    def broken(self: Any, *_: Any, **__: Any) -> bytes:
        raise RuntimeError("The browser closed.\nMore lines.")

    monkeypatch.setattr(export, "installed", lambda package: package == "kaleido")
    monkeypatch.setattr(export, "browser", lambda: None)
    monkeypatch.setattr(type(figure.plotly()), "to_image", broken)
    assert figures.write(figure, tmp_path / "a.svg").read_text(encoding="utf-8") == figures.svg(figure, 800)
    sentence = (
        "The .png file could not be drawn. Write a .svg or .html file. Kaleido is installed, and failed: The browser"
        " closed."
    )
    with pytest.raises(OSError, match=f"^{re.escape(sentence)}$"):
        figures.write(figure, tmp_path / "a.png")


@pytest.mark.skipif(export.browser() is None, reason="there is no Chromium or Chrome on the path")
def test_a_browser_draws(figure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a browser the PNG has the requested size, in dots."""
    monkeypatch.setattr(export, "installed", lambda package: False)
    png = figures.write(figure, tmp_path / "a.png", width=300, scale=2).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (600, 640)
