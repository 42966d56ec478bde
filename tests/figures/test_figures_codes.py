"""Figures of images, codes and restored sequences hold what they were given, and refuse what cannot be drawn."""

from typing import Any

import numpy as np

from regen import figures
from regen.figures import Chart


def marks(chart: Chart) -> dict[str, Any]:
    """The marks of all panels by name."""
    return {mark.name: mark for panel in chart.panels for mark in panel.marks}


def test_rows_of_images() -> None:
    """Images of a row stand side by side with a white line between them, rows below each other, named."""
    first, second = np.arange(12.0).reshape(2, 3, 2) / 12, np.ones((2, 3, 2))
    figure = figures.image_rows({"given": first, "restored": second})
    z = marks(figure)["images"].z
    assert z.shape == (3 + 1 + 3, 2 + 1 + 2)
    shades = np.rint(250 * first)
    np.testing.assert_array_equal(z[:3, :2], shades[0])
    np.testing.assert_array_equal(z[:3, 3:], shades[1])
    assert (z[4:, :2] == 250).all()
    assert (z[3] == 0).all() and (z[:, 2] == 0).all()
    axis = figure.panels[0].y
    assert (axis.tick_labels, list(axis.ticks)) == (["given", "restored"], [1.5, 5.5])
    assert (axis.reverse, axis.square, figure.panels[0].x.visible) == (True, True, False)


def test_missing_pixels_are_blue() -> None:
    """A pixel that is not there has a value of its own, above all shades, and the colour of none of them."""
    figure = figures.image_rows(np.array([[[0.0, np.nan], [1.0, 7.0]]]))
    cells = marks(figure)["images"]
    assert cells.z.tolist() == [[0, 255], [250, 250]]
    assert (cells.limits, cells.scale[-1][1]) == ((0, 255), "#56b4e9")
    assert 250 / 255 <= cells.scale[1][0] < cells.scale[2][0] < 251 / 255
    assert cells.z.dtype == figure.plotly().data[0].z.dtype == np.uint8, "bytes keep the page small"


def test_images_in_colours() -> None:
    """Red, green and blue are in their places, what is missing is clear, and so are the lines between images."""
    images = np.zeros((2, 3, 2, 2))
    images[0, 0], images[1, 2] = 4, 8
    images[1, 1, 0, 0] = np.nan
    figure = figures.image_rows({"a": images, "b": images}, limits=(0, 8))
    found = marks(figure)["images"].pixels
    assert (figure.plotly().data[0].type, found.shape) == ("image", (5, 5, 4))
    assert found[0, 0].tolist() == [128, 0, 0, 255] and found[1, 3].tolist() == [0, 0, 255, 255]
    assert found[0, 3, 3] == 0 and not found[2].any() and not found[:, 2].any()
    np.testing.assert_array_equal(found[:2], found[3:])


def test_large_images_are_averaged() -> None:
    """Ten images of 200 pixels are drawn with a third of them; each is the mean of nine, the edges are left out."""
    images = np.random.default_rng(0).random((10, 200, 7))
    images = np.repeat(images, 29, axis=2)[:, :, :200]
    z = marks(figures.image_rows(images, columns=10))["images"].z
    assert z.shape == (66, 10 * 67 - 1)
    np.testing.assert_array_equal(
        z[0, :66], np.rint(250 * images[0, :3, :198].reshape(3, 66, 3).mean((0, 2)))
    )


def test_images_alone_make_a_square() -> None:
    """Five images stand in two rows of three; limits say what is white and black."""
    images = np.full((5, 2, 2), 8.0)
    z = marks(figures.image_rows(images, limits=(0, 16)))["images"].z
    assert z.shape == (5, 8)
    assert (z[:2, :2] == 125).all() and (z[3:, 6:] == 0).all()
    assert marks(figures.image_rows(images, columns=5))["images"].z.shape == (2, 14)
    assert not figures.image_rows(images).panels[0].y.visible


def test_a_map_of_codes() -> None:
    """Each point stands at its code as its label; decoded images lie under it, the first row highest."""
    codes, labels = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 1.0]]), np.array([7, 3, 7])
    decoded = np.zeros((2, 3, 4, 2))
    decoded[0, 0] = 1  # of the lowest first number and the highest second one
    figure = figures.code_map(codes, labels, decoded=decoded, extent=(-1, 3, -2, 2))
    found = marks(figure)
    assert list(found) == ["decoded", "3", "7"]
    assert (list(found["7"].x), list(found["7"].y), found["7"].label) == ([0, 1], [1, 1], "7")
    under = found["decoded"]
    z = under.z
    assert z.shape == (8, 6)
    assert (z[4:, :2] == 250).all() and z.sum() == 8 * 250
    x, y = under.x.centers(6), under.y.centers(8)
    np.testing.assert_allclose([x[:2].mean(), x[4:].mean()], [-1, 3], atol=1e-12)
    np.testing.assert_allclose([y[:4].mean(), y[4:].mean()], [-2, 2], atol=1e-12)
    assert figure.panels[0].x.limits == (-2, 4)


def test_a_map_over_colours() -> None:
    """Images in colours lie where grey ones would, faintly, and do not make the plane square."""
    decoded = np.zeros((2, 3, 3, 4, 2))
    decoded[0, 0, 1] = 1  # green, of the lowest first number and the highest second one
    figure = figures.code_map(np.zeros((1, 2)), decoded=decoded, extent=(-1, 3, -2, 2))
    under = marks(figure)["decoded"]
    found = under.pixels
    assert found.shape == (8, 6, 4) and (found[..., 3] == found[0, 0, 3]).all() and 0 < found[0, 0, 3] < 128
    x, y = under.x.centers(6), under.y.centers(8)
    green = np.argwhere(found[..., 1] == 255)
    np.testing.assert_allclose([x[green[:, 1]].mean(), y[green[:, 0]].mean()], [-1, 2], atol=1e-12)
    assert len(green) == 8
    assert not figure.panels[0].y.square and figure.plotly().layout.yaxis.scaleanchor is False


def test_a_map_without_labels() -> None:
    """Dots, and no images."""
    (points,) = marks(figures.code_map(np.zeros((4, 2)))).values()
    assert (points.label, len(points.x)) == ("", 4)


def test_restored_sequences() -> None:
    """Sequences lie end to end with a gap between them; names are escaped and in the colour of their line."""
    x = np.arange(24.0).reshape(2, 12)
    figure = figures.restored({"what <is>": x, "LSTM": -x}, unit="GW", steps="half hours")
    first, second = marks(figure).values()
    np.testing.assert_array_equal(first.y[:12], x[0])
    assert np.isnan(first.y[12]) and np.isnan(first.y[25])
    np.testing.assert_array_equal(second.y[13:25], -x[1])
    np.testing.assert_array_equal(first.x, np.arange(26))
    (panel,) = figure.panels
    assert list(panel.x.ticks) == [0, 13]
    assert ("LSTM", second.color) in figure.title
    title = figure.plotly().layout.title.text
    assert f'color:{second.color}">LSTM<' in title and "what &lt;is&gt;" in title
    assert (panel.x.title, panel.y.title) == ("2 sequences of 12 half hours", "GW")


def test_points_over_points() -> None:
    """Generated rows are drawn over real ones, in one scale; the title names both in their colours."""
    real, made = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[5.0, 6.0]])
    figure = figures.points(real, made, axes=("a<b", "c"))
    assert list(marks(figure)) == ["real", "generated"]
    first, second = marks(figure).values()
    assert (list(first.x), list(first.y)) == ([0, 2], [1, 3])
    assert (list(second.x), list(second.y)) == ([5], [6])
    assert first.color != second.color and ("generated", second.color) in figure.title
    layout = figure.plotly().layout
    assert f'color:{second.color}">generated<' in layout.title.text
    assert (layout.xaxis.title.text, layout.yaxis.scaleanchor) == ("a&lt;b", "x")
    assert len(figures.svg(figure)) > 500, "a static picture can be drawn of it"
