"""Folders of pictures become images, images become pictures, and the name of an unreadable file is in the message."""

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from regen.data.io import image_files as pictures
from regen.data.io.image_files import read_images, read_labelled_images, write_grid, write_images

RNG = np.random.default_rng(0)


def noise(*shape: int) -> NDArray[np.uint8]:
    """Random bytes."""
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def draw(path: Path, array: NDArray[Any], **options: Any) -> None:
    """A picture of an array (Y, X) or (Y, X, bands)."""
    Image.fromarray(array).save(path, **options)


@given(n=st.integers(1, 4), C=st.integers(1, 4), Y=st.integers(1, 20), X=st.integers(1, 20))
def test_written_and_read(tmp_path_factory: pytest.TempPathFactory, n: int, C: int, Y: int, X: int) -> None:
    """PNG files of any size and channels give back the same bytes, in the order of their names."""
    images, folder = noise(n, C, Y, X), tmp_path_factory.mktemp("pictures") / "of" / "mine"
    images[:, :, 0, 0] = np.arange(C)  # so that opacity, if there is one, is not full everywhere
    write_images(folder, images)
    again, names = read_images(folder)
    assert names == [f"{k:04d}.png" for k in range(1, n + 1)]
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, images)
    one, names = read_images(folder / "0001.png")
    np.testing.assert_array_equal(one, images[:1])
    assert names == ["0001.png"]


def test_what_is_read(tmp_path: Path) -> None:
    """Both kinds of files by their endings, sorted, a single one too; hidden files, others and folders are left."""
    grey = noise(5, 6)
    draw(tmp_path / "b.PNG", grey)
    draw(tmp_path / "a.jpeg", np.full((5, 6), 77, np.uint8))
    draw(tmp_path / "c.jpg", np.full((5, 6), 200, np.uint8))
    draw(tmp_path / ".d.png", noise(9, 9))
    draw(tmp_path / "e.gif", noise(9, 9))
    (tmp_path / "f.png").mkdir()
    images, names = read_images(tmp_path)
    assert names == ["a.jpeg", "b.PNG", "c.jpg"]
    assert images.shape == (3, 1, 5, 6)
    np.testing.assert_array_equal(images[1, 0], grey)
    np.testing.assert_allclose(images[[0, 2], 0].mean(axis=(1, 2)), [77, 200], atol=1)
    np.testing.assert_array_equal(read_images(str(tmp_path / "b.PNG"))[0], images[1:2])


def test_labels_are_folders(tmp_path: Path) -> None:
    """Every picture has the label of its own folder, in the order of labels and names; hidden folders are left."""
    images = {"b": noise(2, 1, 4, 5), "a": noise(3, 1, 4, 5), ".c": noise(1, 1, 4, 5)}
    for label, some in images.items():
        write_images(tmp_path / label, some)
    found, names, labels = read_labelled_images(tmp_path)
    np.testing.assert_array_equal(found, np.concatenate([images["a"], images["b"]]))
    assert names == ["a/0001.png", "a/0002.png", "a/0003.png", "b/0001.png", "b/0002.png"]
    assert labels == ["a", "a", "a", "b", "b"]
    assert read_labelled_images(tmp_path, 3)[0].shape == (5, 3, 4, 5)


def test_folders_that_are_no_labels(tmp_path: Path, message_of: Any) -> None:
    """One, none, an empty one, loose pictures, and one of another size: each message names the file or folder."""

    def refusal() -> str:
        return message_of(ValueError, read_labelled_images, tmp_path).replace(str(tmp_path), "x")

    start = "Labels that are folders need a folder with two or more in it, one for each label. 'x' has"
    end = ". Put the pictures of each label in a folder of its own."
    assert refusal() == f"{start} none{end}"
    write_images(tmp_path / "a", noise(1, 4, 5))
    assert refusal() == f"{start} only 'a'{end}"
    (tmp_path / "b").mkdir()
    assert refusal() == "The folder 'x/b' has no pictures: no file in it ends in .png or .jpg or .jpeg."
    draw(tmp_path / "b" / "k.png", noise(5, 4))
    assert refusal() == (
        "The pictures of 'x' differ in size: 'a/0001.png' has 5 x 4 pixels, 'b/k.png' 4 x 5. Bring them to one size."
    )
    (tmp_path / "b" / "k.png").write_bytes(b"no picture")
    assert refusal().startswith("'x/b/k.png' is not a whole PNG or JPEG picture")
    draw(tmp_path / "l.png", noise(4, 5))
    assert refusal() == (
        "The folder 'x' has folders, one for each label, and 'l.png' next to them. Move it into the folder of its"
        " label, or take it away."
    )


def test_grey_and_colour_together_are_colour(tmp_path: Path) -> None:
    """Grey pictures among coloured ones get three equal channels; one that is seen through gives all an opacity."""
    colour, grey = noise(4, 4, 3), noise(4, 4)
    draw(tmp_path / "a.png", colour)
    draw(tmp_path / "b.png", grey)
    images, _ = read_images(tmp_path)
    np.testing.assert_array_equal(images, np.stack([colour.transpose(2, 0, 1), np.stack([grey] * 3)]))
    draw(tmp_path / "c.png", np.dstack([grey, np.full_like(grey, 255)]))
    assert read_images(tmp_path)[0].shape == (3, 3, 4, 4), "opacity that is full everywhere is none"
    draw(tmp_path / "c.png", np.dstack([grey, grey // 2]))
    images, _ = read_images(tmp_path)
    assert images.shape == (3, 4, 4, 4)
    np.testing.assert_array_equal(images[2], np.stack([grey, grey, grey, grey // 2]))
    assert (images[:2, 3] == 255).all()


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    """One bit, palettes, 16 bits, a see-through colour and CMYK are read as what they show."""
    grey = noise(4, 4)
    two = Image.fromarray(grey).convert("1", dither=Image.Dither.NONE)
    two.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_images(tmp_path / "a.png")[0][0, 0], np.where(grey >= 128, 255, 0))
    few = noise(4, 4, 3) // 128 * 255
    Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_images(tmp_path / "a.png")[0][0], few.transpose(2, 0, 1))
    Image.fromarray(grey).convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_images(tmp_path / "a.png")[0][0], grey[None])
    draw(tmp_path / "a.png", grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_images(tmp_path / "a.png")[0][0, 0], grey)
    draw(tmp_path / "a.png", grey, transparency=int(grey[0, 0]))
    assert read_images(tmp_path / "a.png")[0][0, :, 0, 0].tolist() == [grey[0, 0], 0]
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "b.jpg")
    np.testing.assert_allclose(read_images(tmp_path / "b.jpg")[0][0, :, 0, 0], [255, 0, 0], atol=6)


def test_a_turned_camera(tmp_path: Path) -> None:
    """The turn that a JPEG notes is made."""
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    halves = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=1).repeat(8, axis=0)
    Image.fromarray(halves).save(tmp_path / "a.jpg", exif=exif)
    image = read_images(tmp_path / "a.jpg")[0][0, 0]
    assert image.shape == (16, 8)
    assert image[:7].max() < 60 < 200 < image[9:].min()


def test_requested_channels(tmp_path: Path, message_of: Any) -> None:
    """Grey is widened to the channels of a model; colour is never silently made grey."""
    draw(tmp_path / "grey.png", noise(3, 3))
    for channels in (1, 2, 3, 4):
        assert read_images(tmp_path, channels)[0].shape == (1, channels, 3, 3)
    assert (read_images(tmp_path, 2)[0][:, 1] == 255).all()
    draw(tmp_path / "red.png", noise(3, 3, 3))
    assert read_images(tmp_path, 4)[0].shape == (2, 4, 3, 3)
    opaque = np.dstack([noise(3, 3), np.zeros((3, 3), np.uint8)])
    for picture, own, refused in ((noise(3, 3, 3), 3, (1, 2)), (opaque, 2, (1, 3))):
        draw(tmp_path / "red.png", picture)
        for channels in refused:
            words = f"'red.png' has {own} channels, and images of {channels} were requested"
            assert message_of(ValueError, read_images, tmp_path, channels).startswith(words)


def promised(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a picture of that size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


WHOLE = (
    "is not a whole PNG or JPEG picture: it is damaged, was cut short, or is something else. Write or fetch it again,"
    " or take it away."
)
MORE = "more than the 67108864 that regen accepts. Make it smaller."
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", WHOLE),
    "text": (b"<svg></svg>", WHOLE),
    "gif": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", WHOLE),
    "header": (promised(4, 4)[:20], WHOLE),
    "no pixels": (promised(4, 4)[:40], WHOLE),
    "too few pixels": (promised(400, 400), WHOLE),
    "bad sum": (promised(4, 4).replace(b"IDAT", b"IDAX"), WHOLE),
    "huge": (promised(9000, 9000), f"has 9000 x 9000 pixels, {MORE}"),
    "monstrous": (promised(2**31 - 1, 2**31 - 1), f"has far {MORE}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_pictures_that_cannot_be_read(case: str, tmp_path: Path, message_of: Any) -> None:
    """Damaged, cut short, huge or something else: refused in one sentence with the name of the file."""
    data, sentence = REFUSED[case]
    draw(tmp_path / "a.png", noise(4, 4))
    (tmp_path / "b.png").write_bytes(data)
    assert message_of(ValueError, read_images, tmp_path) == f"{str(tmp_path / 'b.png')!r} {sentence}"


def test_a_jpeg_cut_short(tmp_path: Path) -> None:
    """Half of a JPEG is refused and not filled up with grey."""
    draw(tmp_path / "a.jpg", noise(64, 64))
    whole = (tmp_path / "a.jpg").read_bytes()
    read_images(tmp_path)
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.jpg' is not a whole PNG or JPEG picture"):
        read_images(tmp_path)


def test_folders_that_cannot_be_read(tmp_path: Path, message_of: Any) -> None:
    """No folder, no pictures, and pictures of different sizes are refused."""
    folder, wrong = tmp_path / "pictures", tmp_path / "pitcures"
    folder.mkdir()
    words = f"There is no folder {str(wrong)!r}. Did you mean 'pictures'?"
    assert message_of(FileNotFoundError, read_images, wrong) == words
    words = f"The folder {str(folder)!r} has no pictures: no file in it ends in .png or .jpg or .jpeg."
    assert message_of(ValueError, read_images, folder) == words
    draw(folder / "a.png", noise(8, 9))
    draw(folder / "b.png", noise(9, 8))
    words = f"The pictures of {str(folder)!r} differ in size: 'a.png' has 9 x 8 pixels, 'b.png' 8 x 9. "
    assert message_of(ValueError, read_images, folder) == f"{words}Bring them to one size."


def grid_of(path: Path) -> NDArray[np.uint8]:
    """A written PNG as an array."""
    return np.asarray(Image.open(path))


def test_a_grid(tmp_path: Path) -> None:
    """Pictures stand row by row between grey lines; a last row may be short."""
    images = noise(5, 2, 3)
    write_grid(tmp_path / "grid.png", images, columns=3, zoom=1)
    grid = grid_of(tmp_path / "grid.png")
    assert grid.shape == (2 * 3 + 1, 3 * 4 + 1)
    for k, image in enumerate(images):
        top, left = 1 + 3 * (k // 3), 1 + 4 * (k % 3)
        np.testing.assert_array_equal(grid[top : top + 2, left : left + 3], image)
    assert (grid[::3] == 128).all() and (grid[:, ::4] == 128).all() and (grid[4:, 9:] == 128).all()
    write_grid(tmp_path / "grid.png", images, columns=99, pad=0, zoom=2)
    np.testing.assert_array_equal(
        grid_of(tmp_path / "grid.png"), np.hstack([*images]).repeat(2, 0).repeat(2, 1)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_small_pictures_are_enlarged(tmp_path: Path) -> None:
    """A digit of 8 x 8 is shown with 32 x 32; nine make a square; colours stay colours."""
    write_grid(tmp_path / "grid.png", noise(9, 3, 8, 8), pad=0)
    assert grid_of(tmp_path / "grid.png").shape == (96, 96, 3)
    write_grid(tmp_path / "grid.png", noise(2, 40, 50), pad=0)
    assert grid_of(tmp_path / "grid.png").shape == (40, 100)


@pytest.mark.parametrize(
    ("values", "limits", "shades"),
    [
        (np.array([False, True]), None, [0, 255]),
        (np.array([0.25, 0.5]), None, [64, 128]),
        (np.array([0.0, 8.0, 16.0]), None, [0, 128, 255]),
        (np.array([-1, 0, 1]), None, [0, 128, 255]),
        (np.array([-0.5, 0.5, 1.5]), (0, 1), [0, 128, 255]),
        (np.array([3.0, 3.0]), None, [0, 0]),
        (np.array([51, 102], np.uint8), None, [51, 102]),
        (np.array([0, 1], np.uint8), (0, 1), [0, 255]),
    ],
)
def test_shades(values: NDArray[Any], limits: Any, shades: list[int], tmp_path: Path) -> None:
    """Black and white are 0 and 1 for what lies there, else the extremes, or what is requested."""
    write_grid(tmp_path / "a.png", values[None, None], pad=0, zoom=1, limits=limits)
    np.testing.assert_allclose(grid_of(tmp_path / "a.png")[0], shades, atol=0.51)


def test_missing_pixels_are_blue(tmp_path: Path) -> None:
    """Where nothing is known, a grey picture has a colour that no shade of grey is."""
    write_grid(tmp_path / "a.png", np.array([[[0.0, np.nan, 1.0]]]), pad=0, zoom=1)
    assert grid_of(tmp_path / "a.png")[0].tolist() == [[0, 0, 0], [86, 180, 233], [255, 255, 255]]


def test_names_of_files(tmp_path: Path) -> None:
    """Pictures keep the names that they had; two that differ only in their ending stay two."""
    write_images(tmp_path, noise(2, 3, 3), ["a.jpg", "b.png"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    write_images(tmp_path / "c", noise(2, 3, 3), ["a.jpg", "a.png"])
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["a.jpg.png", "a.png.png"]


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    """Too many channels, no images, and a folder that is not there."""
    for shape in ((2, 5, 3, 3), (0, 3, 3), (4, 4)):
        sentence = f"with 1 to 4 channels. Got {shape} instead."
        with pytest.raises(ValueError, match=f"{re.escape(sentence)}$"):
            write_grid(tmp_path / "a.png", np.zeros(shape))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_grid(tmp_path / "b" / "a.png", noise(1, 3, 3))
    assert not list(tmp_path.iterdir())


def test_pillow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message_of: Any) -> None:
    """Without Pillow, the message has the line that installs it."""

    def none(package: str, *, extra: str, purpose: str) -> Any:
        raise ImportError(f"{purpose} needs {package}, extra {extra}")

    monkeypatch.setattr(pictures, "require", none)
    (tmp_path / "a.png").touch()
    words, grid = "pictures needs PIL.Image, extra images", (tmp_path / "b.png", noise(1, 3, 3))
    assert message_of(ImportError, read_images, tmp_path) == f"Reading {words}"
    assert message_of(ImportError, write_grid, *grid) == f"Writing {words}"


def test_a_device(tmp_path, message_of):
    """A device would be read without end."""
    (tmp_path / "z.png").symlink_to("/dev/zero")
    assert message_of(ValueError, read_images, tmp_path / "z.png") == (
        f"{str(tmp_path / 'z.png')!r} is a device or a pipe. Write its content to a file first."
    )
