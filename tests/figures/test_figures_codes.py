"""Figures of images, codes and restored sequences hold what they were given, and refuse what cannot be drawn."""

import re
from typing import Any

import numpy as np
import pytest

from regen import figures
from regen.figures._png import pixels_at


def traces(figure: Any) -> dict[str, Any]:
    """The traces by name."""
    return {trace.name: trace for trace in figure.data}


def test_rows_of_images() -> None:
    """Images of a row stand side by side with a white line between them, rows below each other, named."""
    first, second = np.arange(12.0).reshape(2, 3, 2) / 12, np.ones((2, 3, 2))
    figure = figures.image_rows({"given": first, "restored": second})
    z = np.asarray(traces(figure)["images"].z)
    assert z.shape == (3 + 1 + 3, 2 + 1 + 2)
    shades = np.rint(250 * first)
    np.testing.assert_array_equal(z[:3, :2], shades[0])
    np.testing.assert_array_equal(z[:3, 3:], shades[1])
    assert (z[4:, :2] == 250).all()
    assert (z[3] == 0).all() and (z[:, 2] == 0).all()
    axis = figure.layout.yaxis
    assert (list(axis.ticktext), list(axis.tickvals)) == (["given", "restored"], [1.5, 5.5])
    assert (axis.autorange, axis.scaleanchor, figure.layout.xaxis.visible) == ("reversed", "x", False)


def test_missing_pixels_are_blue() -> None:
    """A pixel that is not there has a value of its own, above all shades, and the colour of none of them."""
    figure = figures.image_rows(np.array([[[0.0, np.nan], [1.0, 7.0]]]))
    trace = traces(figure)["images"]
    assert np.asarray(trace.z).tolist() == [[0, 255], [250, 250]]
    assert (trace.zmin, trace.zmax, trace.colorscale[-1][1]) == (0, 255, "#56b4e9")
    assert 250 / 255 <= trace.colorscale[1][0] < trace.colorscale[2][0] < 251 / 255
    assert np.asarray(trace.z).dtype == np.uint8, "bytes keep the page small"


def test_images_in_colours() -> None:
    """Red, green and blue are in their places, what is missing is clear, and so are the lines between images."""
    images = np.zeros((2, 3, 2, 2))
    images[0, 0], images[1, 2] = 4, 8
    images[1, 1, 0, 0] = np.nan
    (trace,) = figures.image_rows({"a": images, "b": images}, limits=(0, 8)).data
    found = pixels_at(trace.source)
    assert (trace.type, found.shape) == ("image", (5, 5, 4))
    assert found[0, 0].tolist() == [128, 0, 0, 255] and found[1, 3].tolist() == [0, 0, 255, 255]
    assert found[0, 3, 3] == 0 and not found[2].any() and not found[:, 2].any()
    np.testing.assert_array_equal(found[:2], found[3:])


def test_large_images_are_averaged() -> None:
    """Ten images of 200 pixels are drawn with a third of them; each is the mean of nine, the edges are left out."""
    images = np.random.default_rng(0).random((10, 200, 7))
    images = np.repeat(images, 29, axis=2)[:, :, :200]
    z = np.asarray(figures.image_rows(images, columns=10).data[0].z)
    assert z.shape == (66, 10 * 67 - 1)
    np.testing.assert_array_equal(
        z[0, :66], np.rint(250 * images[0, :3, :198].reshape(3, 66, 3).mean((0, 2)))
    )


def test_images_alone_make_a_square() -> None:
    """Five images stand in two rows of three; limits say what is white and black."""
    images = np.full((5, 2, 2), 8.0)
    z = np.asarray(figures.image_rows(images, limits=(0, 16)).data[0].z)
    assert z.shape == (5, 8)
    assert (z[:2, :2] == 125).all() and (z[3:, 6:] == 0).all()
    assert np.asarray(figures.image_rows(images, columns=5).data[0].z).shape == (2, 14)
    assert figures.image_rows(images).layout.yaxis.visible is False


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((4, 4)), "Each row must have images of one shape (n, Y, X) or (n, 3, Y, X). Got (4, 4)."),
        (
            np.zeros((0, 4, 4)),
            "Each row must have images of one shape (n, Y, X) or (n, 3, Y, X). Got (0, 4, 4).",
        ),
        (
            {"a": np.zeros((2, 4, 4)), "b": np.zeros((2, 4, 5))},
            "Each row must have images of one shape (n, Y, X) or (n, 3, Y, X). Got (2, 4, 5) in 'b' and (2, 4, 4)"
            " before it.",
        ),
    ],
)
def test_images_that_are_none(rows: Any, sentence: str) -> None:
    """What has no images, or images of two sizes, is told."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        figures.image_rows(rows)


def test_a_map_of_codes() -> None:
    """Each point stands at its code as its label; decoded images lie under it, the first row highest."""
    codes, labels = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 1.0]]), np.array([7, 3, 7])
    decoded = np.zeros((2, 3, 4, 2))
    decoded[0, 0] = 1  # of the lowest first number and the highest second one
    figure = figures.code_map(codes, labels, decoded=decoded, extent=(-1, 3, -2, 2))
    found = traces(figure)
    assert list(found) == ["decoded", "3", "7"]
    assert (list(found["7"].x), list(found["7"].y), found["7"].text) == ([0, 1], [1, 1], "7")
    under = found["decoded"]
    z = np.asarray(under.z)
    assert z.shape == (8, 6)
    assert (z[4:, :2] == 250).all() and z.sum() == 8 * 250
    x, y = under.x0 + under.dx * np.arange(6), under.y0 + under.dy * np.arange(8)
    assert (x[:2].mean(), x[4:].mean()) == (-1, 3)
    assert (y[:4].mean(), y[4:].mean()) == (-2, 2)
    assert list(figure.layout.xaxis.range) == [-2, 4]


def test_a_map_over_colours() -> None:
    """Images in colours lie where grey ones would, faintly, and do not make the plane square."""
    decoded = np.zeros((2, 3, 3, 4, 2))
    decoded[0, 0, 1] = 1  # green, of the lowest first number and the highest second one
    figure = figures.code_map(np.zeros((1, 2)), decoded=decoded, extent=(-1, 3, -2, 2))
    under, found = traces(figure)["decoded"], pixels_at(traces(figure)["decoded"].source)
    assert found.shape == (8, 6, 4) and (found[..., 3] == found[0, 0, 3]).all() and 0 < found[0, 0, 3] < 128
    x, y = under.x0 + under.dx * np.arange(6), under.y0 + under.dy * np.arange(8)
    green = np.argwhere(found[..., 1] == 255)
    assert (x[green[:, 1]].mean(), y[green[:, 0]].mean(), len(green)) == (-1, 2, 8)
    assert figure.layout.yaxis.scaleanchor is False


def test_a_map_without_labels() -> None:
    """Dots, and no images."""
    (trace,) = figures.code_map(np.zeros((4, 2))).data
    assert (trace.mode, len(trace.x)) == ("markers", 4)


def test_maps_that_cannot_be() -> None:
    """Codes of three numbers, and images without a place, are told."""
    with pytest.raises(ValueError, match=r"^codes must have shape \(n, 2\)\. Got \(4, 3\) instead\.$"):
        figures.code_map(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"^decoded and extent belong together\. Give both, or none\.$"):
        figures.code_map(np.zeros((4, 2)), decoded=np.zeros((2, 2, 3, 3)))


def test_restored_sequences() -> None:
    """Sequences lie end to end with a gap between them; names are escaped and in the colour of their line."""
    x = np.arange(24.0).reshape(2, 12)
    figure = figures.restored({"what <came>": x, "LSTM": -x}, unit="GW", steps="half hours")
    first, second = figure.data
    np.testing.assert_array_equal(first.y[:12], x[0])
    assert np.isnan(first.y[12]) and np.isnan(first.y[25])
    np.testing.assert_array_equal(second.y[13:25], -x[1])
    np.testing.assert_array_equal(first.x, np.arange(26))
    assert list(figure.layout.xaxis.tickvals) == [0, 13]
    assert f'color:{second.line.color}">LSTM<' in figure.layout.title.text
    assert "what &lt;came&gt;" in figure.layout.title.text
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "2 sequences of 12 half hours",
        "GW",
    )


@pytest.mark.parametrize(
    "sequences",
    [
        {"a": np.zeros((2, 3)), "b": np.zeros((2, 4))},
        {"a": np.zeros(3)},
        {k: np.zeros((1, 2)) for k in "abcd"},
    ],
)
def test_sequences_that_cannot_be_drawn(sequences: Any) -> None:
    """Two lengths, a single one, and more lines than colours are told."""
    with pytest.raises(ValueError, match=r"^sequences must be up to 3 arrays of one shape \(n, T\)\. Got \("):
        figures.restored(sequences)


def test_points_over_points() -> None:
    """Generated rows are drawn over real ones, in one scale; the title names both in their colours."""
    real, made = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[5.0, 6.0]])
    figure = figures.points(real, made, axes=("a<b", "c"))
    assert [trace.name for trace in figure.data] == ["real", "generated"]
    first, second = figure.data
    assert (list(first.x), list(first.y)) == ([0, 2], [1, 3])
    assert (list(second.x), list(second.y)) == ([5], [6])
    assert first.marker.color != second.marker.color
    assert f'color:{second.marker.color}">generated<' in figure.layout.title.text
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.scaleanchor) == ("a&lt;b", "x")
    assert len(figures.still(figure)) > 500, "a still picture can be drawn of it"


@pytest.mark.parametrize(("name", "shape"), [("real", (4, 3)), ("made", (4,)), ("made", (0, 2))])
def test_points_that_cannot_be_drawn(name: str, shape: tuple[int, ...]) -> None:
    """Rows of other than two numbers, and none, are told."""
    rows = {"real": np.zeros((2, 2)), "made": np.zeros((2, 2))} | {name: np.zeros(shape)}
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'{name} must have shape (n, 2). Got {shape} instead.')}$"
    ):
        figures.points(**rows)
