"""PNG files: damage that Pillow opens without an error is refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regen.data.io.image_files import read_images
from regen.data.io.png import PASSES, is_whole_png

SHADES = np.random.default_rng(0).integers(0, 255, (11, 13, 4), dtype=np.uint8)


def part(name: bytes, data: bytes) -> bytes:
    """A part of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(header: bytes, data: bytes) -> bytes:
    """A PNG of a header and of pixels that are not packed yet, in two parts."""
    packed = zlib.compress(data)
    middle = len(packed) // 2
    parts = [(b"IHDR", header), (b"IDAT", packed[:middle]), (b"IDAT", packed[middle:]), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part(*each) for each in parts)


def interlaced(grey: np.ndarray) -> tuple[bytes, bytes]:
    """Header and data of an interlaced picture, which Pillow reads but does not write."""
    rows = [
        b"\0" + row.tobytes()
        for top, down, left, right in PASSES
        for row in grey[top::down, left::right]
        if len(row)
    ]
    return struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1), b"".join(rows)


def written(image: Image.Image) -> bytes:
    """A picture as Pillow writes it."""
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


WHOLE = {
    "grey": written(Image.fromarray(SHADES[:, :, 0])),
    "colour": written(Image.fromarray(SHADES[:, :, :3])),
    "opacity": written(Image.fromarray(SHADES)),
    "palette": written(Image.fromarray(SHADES[:, :, :3]).quantize(5)),
    "sixteen bits": written(Image.fromarray(SHADES[:, :, 0].astype(np.uint16) * 256)),
    "black and white": written(Image.fromarray(SHADES[:, :, 0] > 99)),
    "interlaced": png_of(*interlaced(SHADES[:, :, 0])),
    "small and interlaced": png_of(*interlaced(SHADES[:2, :3, 0])),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_every_flipped_byte_is_found(tmp_path: Path, kind: str) -> None:
    """A whole picture of each kind passes; with any byte flipped it does not."""
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE[kind])
    assert is_whole_png(path)
    for place in range(8, len(WHOLE[kind])):
        damaged = bytearray(WHOLE[kind])
        damaged[place] ^= 0x10
        path.write_bytes(bytes(damaged))
        assert not is_whole_png(path), place


@pytest.mark.parametrize("rows", [0, 10])
def test_data_that_ends_early(tmp_path: Path, rows: int) -> None:
    """Missing rows are no black ones, although every checksum fits; Pillow opens such a picture."""
    header = struct.pack(">IIBBBBB", 13, 11, 8, 0, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in SHADES[:rows, :, 0])
    path = tmp_path / "a.png"
    path.write_bytes(png_of(header, data))
    with pytest.raises(ValueError, match="is not a whole PNG or JPEG picture"):
        read_images(path)
    if rows:
        with Image.open(path) as image:
            assert (np.asarray(image)[rows:] == 0).all()
    grey, cut = interlaced(SHADES[:, :, 0])
    path.write_bytes(png_of(grey, cut[:-1]))
    assert not is_whole_png(path)


def test_interlaced_and_other_files(tmp_path: Path) -> None:
    """An interlaced picture is read; what is no PNG is not looked at."""
    path = tmp_path / "a.png"
    path.write_bytes(WHOLE["interlaced"])
    np.testing.assert_array_equal(read_images(path)[0][0, 0], SHADES[:, :, 0])
    path.write_bytes(b"\xff\xd8 JPEG")
    assert is_whole_png(path)
