"""A figure as a file: a page, a picture or a drawing, by whatever this machine has to draw it."""

import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from html import unescape
from os import PathLike
from pathlib import Path
from re import DOTALL, search
from typing import Any
from urllib.parse import unquote

from regen._optional import installed, require
from regen.data.io.tables import atomic_write
from regen.figures.render.svg import still
from regen.figures.style import HEIGHT

__all__ = ["browser", "write"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ENDINGS = (".html", ".svg", ".png", ".pdf")
PATIENCE = 120
"""Seconds that a browser may take."""
DRAW = """<!doctype html><meta charset="utf-8"><script>{plotly}</script><div id="d"></div><pre id="out"></pre><script>
const figure = {figure};
Plotly.newPlot("d", figure.data, figure.layout, {{staticPlot: true}})
  .then(d => Plotly.toImage(d, {{format: "{format}", width: {width}, height: {height}, scale: {scale}}}))
  .then(url => {{ document.getElementById("out").textContent = url; }});
</script>"""


def write(figure: Any, path: str | PathLike[str], *, width: int = 800, scale: float = 2.0) -> Path:
    """Write a figure, and return the path.

    By the ending of the path: ``.html`` is a page that opens offline and answers to the mouse; ``.svg`` and ``.png``
    are drawn by kaleido where it works, else by a Chromium or Chrome on the path; ``.pdf`` by kaleido.
    Where there is neither, regen draws the ``.svg`` itself (`regen.figures.render.svg`), with plainer labels.

    Parameters
    ----------
    figure : of plotly, such as those of `regen.figures`.
    path : of the file, in a folder that is there. One that exists is replaced at once, or stays whole when drawing
        fails.
    width : of the picture in pixels of a screen; its height is the figure's.
    scale : dots of a PNG to each of those pixels; 2 is sharp in print at 400 pixels to a column.

    Raises
    ------
    ValueError
        When the ending is none of these.
    ImportError
        When nothing here can draw such a file; says what can.
    OSError
        When what is here failed to draw it, or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{str(path)!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    size = (width, int(figure.layout.height or HEIGHT), float(scale))
    if ending == ".html":
        data = figure.to_html(include_plotlyjs=True, full_html=True).encode()
    else:
        data = _picture(figure, ending, size)
    with atomic_write(path) as file:
        file.write(data)
    return path


def _picture(figure: Any, ending: str, size: tuple[int, int, float]) -> bytes:
    """The first of those who can: kaleido, a browser, regen itself."""
    width, height, scale = size
    failed = ""
    if installed("kaleido"):
        try:
            return bytes(figure.to_image(ending[1:], width=width, height=height, scale=scale))
        except Exception as error:  # whatever its browser died of
            failed = f" Kaleido is here, and failed: {str(error).strip('()').partition(chr(10))[0][:120]}"
    if ending != ".pdf" and (program := browser()) is not None:
        return _by_browser(program, figure, ending[1:], (width, height, 1.0 if ending == ".svg" else scale))
    if ending == ".svg":
        return still(figure, width).encode()
    if failed:
        raise OSError(f"The {ending} file could not be drawn. Write a .svg or .html file.{failed}")
    raise ImportError(
        f"Writing a {ending} file needs "
        + ("kaleido" if ending == ".pdf" else "kaleido, or Chromium or Chrome on the path")
        + (", which is not here." if ending == ".pdf" else ", and neither is here.")
        + " Run: pip install 'regen[pictures]', or write a .svg or .html file."
    )


def browser() -> str | None:
    """The Chromium or Chrome on the path, if there is one."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def _by_browser(program: str, figure: Any, format: str, size: tuple[int, int, float]) -> bytes:
    """What plotly draws in a browser without a window, started for it and gone afterwards."""
    width, height, scale = size
    plotly = require("plotly.offline", extra="plot", purpose="Drawing a figure").get_plotlyjs()
    with tempfile.TemporaryDirectory(prefix="regen-") as folder:
        page = Path(folder, "figure.html")
        words = {"plotly": plotly, "figure": figure.to_json().replace("</", "<\\/"), "format": format}
        page.write_text(DRAW.format(**words, width=width, height=height, scale=scale), encoding="utf-8")
        command = [
            *(program, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"),
            *(["--no-sandbox"] if getattr(os, "geteuid", int)() == 0 else []),  # root has no sandbox to be in
            *("--virtual-time-budget=60000", "--dump-dom", page.as_uri()),
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    found = search(r'<pre id="out">(.*?)</pre>', result.stdout, DOTALL)
    if found is None or not found[1].startswith("data:image"):
        raise OSError(f"{program!r} could not draw the figure. Write a .html file, or install kaleido.")
    return _of_address(unescape(found[1]))


def _of_address(url: str) -> bytes:
    """The bytes in a data address."""
    head, _, data = url.partition(",")
    return b64decode(data) if head.endswith(";base64") else unquote(data).encode()
