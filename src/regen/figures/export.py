"""A chart as a file: HTML, SVG, PNG or PDF, by whatever program this machine has to draw it."""

import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from html import unescape
from os import PathLike
from pathlib import Path
from re import DOTALL, search
from urllib.parse import unquote

from regen._files import atomic_write
from regen._optional import installed
from regen.figures.marks import Drawing
from regen.figures.render.plotly import plotly_figure, plotly_script
from regen.figures.render.svg import svg

__all__ = ["browser", "write"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ENDINGS = (".html", ".svg", ".png", ".pdf")
TIMEOUT = 120
"""Of a browser, in seconds."""
DRAW = """<!doctype html><meta charset="utf-8"><script>{plotly}</script><div id="d"></div><pre id="out"></pre><script>
const figure = {figure};
Plotly.newPlot("d", figure.data, figure.layout, {{staticPlot: true}})
  .then(d => Plotly.toImage(d, {{format: "{format}", width: {width}, height: {height}, scale: {scale}}}))
  .then(url => {{ document.getElementById("out").textContent = url; }});
</script>"""


def write(chart: Drawing, path: str | PathLike[str], *, width: int = 800, scale: float = 2.0) -> Path:
    """Write a chart to a file.

    The ending of the path chooses the format: ``.html`` is an interactive page that opens offline;
    ``.svg`` and ``.png`` are drawn by kaleido where it works, else by a Chromium or Chrome on the path; ``.pdf`` by
    kaleido. Where there is neither, regen draws the ``.svg`` itself (`regen.figures.svg`), with plainer labels.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.
    path : str or path
        Of the file, in a folder that exists. A file that exists is replaced at once, or stays whole when drawing
        fails.
    width : int, default=800
        Of the picture in pixels of a screen; its height is the chart's.
    scale : float, default=2.0
        Dots of a PNG to each of those pixels; 2 is sharp in print at 400 pixels to a column.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    ValueError
        When the ending is none of these.
    ImportError
        When nothing here can draw such a file; names what can.
    OSError
        When what is here failed to draw it, or the file cannot be written.

    See Also
    --------
    regen.figures.svg : The SVG as text.

    Examples
    --------
    >>> import tempfile
    >>> from regen import figures
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     figures.write(figures.loss_per_step([3.0, 2.0]), f"{folder}/loss.html").name
    'loss.html'
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{str(path)!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if ending == ".html":
        data = plotly_figure(chart).to_html(include_plotlyjs=True, full_html=True).encode()
    else:
        try:
            data = _picture(chart, ending, (width, chart.height, float(scale)))
        except (OSError, subprocess.TimeoutExpired) as error:
            if isinstance(error, OSError) and error.errno is None:  # in words already
                raise
            reason = error.strerror if isinstance(error, OSError) else f"a browser took more than {TIMEOUT} s"
            raise OSError(
                f"{str(path)!r} could not be drawn: {reason}. Try again, or write a .html file."
            ) from error
    with atomic_write(path) as file:
        file.write(data)
    return path


def _picture(chart: Drawing, ending: str, size: tuple[int, int, float]) -> bytes:
    """By the first that can: kaleido, a browser, regen itself."""
    width, height, scale = size
    failed = ""
    if installed("kaleido"):
        try:
            return bytes(plotly_figure(chart).to_image(ending[1:], width=width, height=height, scale=scale))
        except Exception as error:  # of whatever kind its browser raises
            failed = (
                f" Kaleido is installed, and failed: {str(error).strip('()').partition(chr(10))[0][:120]}"
            )
    if ending != ".pdf" and (program := browser()) is not None:
        return _by_browser(program, chart, ending[1:], (width, height, 1.0 if ending == ".svg" else scale))
    if ending == ".svg":
        return svg(chart, width).encode()
    if failed:
        raise OSError(f"The {ending} file could not be drawn. Write a .svg or .html file.{failed}")
    raise ImportError(
        f"Writing a {ending} file needs "
        + ("kaleido" if ending == ".pdf" else "kaleido, or Chromium or Chrome on the path")
        + (", which is not installed." if ending == ".pdf" else ", and neither is installed.")
        + " Run: pip install 'regen[pictures]', or write a .svg or .html file."
    )


def browser() -> str | None:
    """The path of a Chromium or Chrome, if there is one."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def _by_browser(program: str, chart: Drawing, format: str, size: tuple[int, int, float]) -> bytes:
    """What plotly draws in a browser without a window, started for it and ended afterwards."""
    width, height, scale = size
    figure = plotly_figure(chart).to_json().replace("</", "<\\/")
    with tempfile.TemporaryDirectory(prefix="regen-") as folder:
        page = Path(folder, "figure.html")
        parts = {"plotly": plotly_script(), "figure": figure, "format": format}
        page.write_text(DRAW.format(**parts, width=width, height=height, scale=scale), encoding="utf-8")
        command = [
            *(program, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"),
            *(["--no-sandbox"] if getattr(os, "geteuid", int)() == 0 else []),  # for root has none
            *("--virtual-time-budget=60000", "--dump-dom", page.as_uri()),
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    found = search(r'<pre id="out">(.*?)</pre>', result.stdout, DOTALL)
    if found is None or not found[1].startswith("data:image"):
        raise OSError(f"{program!r} could not draw the figure. Write a .html file, or install kaleido.")
    return _data_of(unescape(found[1]))


def _data_of(url: str) -> bytes:
    """The bytes in a data URL."""
    head, _, data = url.partition(",")
    return b64decode(data) if head.endswith(";base64") else unquote(data).encode()
