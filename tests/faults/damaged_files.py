"""Files with damage for the readers, by a seed: bytes at random, or what a format is made of, with its checksums."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Random = np.random.Generator


def flipped(content: bytes, random: Random, low: int = 0, high: int | None = None) -> bytes:
    """One to eight bits of `content` flipped, between two places."""
    changed = bytearray(content)
    for place in random.integers(low, high or len(content), random.integers(1, 9)):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut(content: bytes, random: Random) -> bytes:
    """The end cut off, or a piece taken out, or written twice, or bytes put in."""
    a, b = sorted(random.integers(0, len(content) + 1, 2).tolist())
    return [
        content[:a],
        content[:a] + content[b:],
        content[:b] + content[a:],
        content[:a] + random.bytes(int(random.integers(1, 40))) + content[a:],
    ][random.integers(4)]


TOKENS = [
    *(
        b'"',
        b'""',
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff",
        b" ",
        b"\n\n",
        b"'",
    ),
    *(
        b"NA",
        b"nan",
        b"inf",
        b"-",
        b"1e999",
        b"0x1F",
        b"9" * 40,
        b"true",
        b"2020-02-30",
        b"2020-01-01T00:00",
        b"1,5",
    ),
    *("é".encode(), "\u2028".encode(), b"x" * 3000, b'"x\n,y"', b"\\", b"=1+1", b"@data\n", b":", b"?"),
]


def spelled(content: bytes, random: Random) -> bytes:
    """Text with tokens put in, or in place of others."""
    for _ in range(random.integers(1, 6)):
        place = int(random.integers(0, len(content) + 1))
        token = TOKENS[random.integers(len(TOKENS))]
        content = content[:place] + token + content[place + int(random.integers(0, 3)) :]
    return content


def any_change(content: bytes, random: Random) -> bytes:
    """Bits flipped, or bytes taken out or put in."""
    return (flipped, cut)[random.integers(2)](content, random)


TEXTS = [
    b'day,town,x,y\n2020-01-01,Rome,1,2.5\n2020-01-02,,3,\n2020-01-03,"a, b",-4,1e-3\n',
    b"a;b;c\n1,5;x;2\n2,5;y;3\n;z;4\n",
    b'"a ""q""",b\r\n1,"two\r\nlines"\r\n2,"c ""d"""\r\n',
    b"k,l\n" + b"".join(b"%d,%d\n" % (k, k * k) for k in range(60)),
]


def change_text(random: Random) -> bytes:
    """A CSV text with faults."""
    text = TEXTS[random.integers(len(TEXTS))]
    return (spelled, spelled, flipped, cut)[random.integers(4)](text, random)


def csv_file(random: Random) -> bytes:
    """A CSV text with faults."""
    return change_text(random)


def gz_file(random: Random) -> bytes:
    """A packed file with damage in its header, data or trailer; or a whole one of a damaged text."""
    if random.random() < 0.3:
        return gzip.compress(change_text(random), mtime=0)
    whole = gzip.compress(TEXTS[random.integers(len(TEXTS))], mtime=0)
    part = random.integers(4)
    if part == 0:
        return flipped(whole, random, 0, 10)
    if part == 1:
        return flipped(whole, random, len(whole) - 8)
    return cut(whole, random) if part == 2 else flipped(whole, random, 10)


def parquet_files() -> list[bytes]:
    """Whole ones: numbers with gaps, texts stored once, dates; packed or not."""
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "x": pa.array(random.normal(size=80), mask=random.random(80) < 0.2),
            "k": pa.array(np.arange(80) // 9),
            "town": pa.array(["Rome", "Oslo", None, "a" * 50] * 20),
            "day": pa.array(np.datetime64("2020-01-01") + np.arange(80)),
            "b": pa.array([True, False, None, True] * 20),
        }
    )
    found = []
    for each in (table, table.select(["town", "x"])):
        for options in ({"compression": "none"}, {"compression": "zstd"}, {"use_dictionary": False}):
            sink = io.BytesIO()
            pq.write_table(each, sink, write_page_checksum=True, row_group_size=32, **options)
            found.append(sink.getvalue())
    return found


def parquet_file(random: Random) -> bytes:
    """Damage anywhere, or in the description at the end alone."""
    whole = PARQUET[random.integers(len(PARQUET))]
    size = struct.unpack("<i", whole[-8:-4])[0]
    if random.random() < 0.5:
        return flipped(whole, random, len(whole) - 8 - size, len(whole) - 4)
    return any_change(whole, random)


ARRAYS = [
    np.arange(24.0).reshape(4, 6),
    np.arange(12, dtype=np.int16).reshape(2, 3, 2),
    np.array([[True, False], [False, True]]),
    np.asfortranarray(np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)),
]

WORDS = [
    b"'descr'",
    b"'fortran_order'",
    b"'shape'",
    b"True",
    b"False",
    b"<f8",
    b">f4",
    b"|O",
    b"|V8",
    b"<U9",
    b"<M8[s]",
]

WORDS += [
    b"()",
    b"(-1,)",
    b"(9999999999999999, 9)",
    b"(2, 3)",
    b"(((",
    b"{",
    b"}",
    b",",
    b"[1]" * 40,
    b"\n",
    b"<c16",
]


def npy_bytes(array: Any) -> bytes:
    """An array as a file."""
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=array.dtype == object)
    return sink.getvalue()


def npy_file(random: Random) -> bytes:
    """Damage anywhere, or words of the header changed, its length with them."""
    whole = npy_bytes(ARRAYS[random.integers(len(ARRAYS))])
    if random.random() < 0.4:
        return any_change(whole, random)
    size = 10 + struct.unpack("<H", whole[8:10])[0]
    header = whole[10:size]
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(header)))
        header = (
            header[:place] + WORDS[random.integers(len(WORDS))] + header[place + int(random.integers(9)) :]
        )
    return whole[:8] + struct.pack("<H", len(header)) + header + whole[size:]


def npz_bytes(arrays: dict[str, bytes], packed: bool) -> bytes:
    """Files as an archive."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in arrays.items():
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return sink.getvalue()


def npz_file(random: Random) -> bytes:
    """A whole archive of a damaged array, or a damaged archive: anywhere, or in its directory."""
    packed = bool(random.integers(2))
    if random.random() < 0.3:
        return npz_bytes({"X.npy": npy_file(random), "y.npy": npy_bytes(np.arange(4))}, packed)
    X = ARRAYS[random.integers(len(ARRAYS))]
    whole = npz_bytes({"X.npy": npy_bytes(X), "y.npy": npy_bytes(np.arange(len(X)))}, packed)
    if random.random() < 0.4:
        return flipped(whole, random, whole.index(b"PK\x01\x02"))
    return any_change(whole, random)


def parts_of(content: bytes) -> list[tuple[bytes, bytes, int]]:
    """The parts of a PNG up to its end: names, data and checksums."""
    place, parts = 8, []
    while place < len(content) and (not parts or parts[-1][0] != b"IEND"):
        end = place + 8 + struct.unpack(">I", content[place : place + 4])[0]
        (crc,) = struct.unpack(">I", content[end : end + 4])
        parts.append((content[place + 4 : place + 8], content[place + 8 : end], crc))
        place = end + 4
    return parts


def png_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of parts, whose checksums fit."""
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def pictures() -> list[bytes]:
    """Grey, coloured, with opacity, of a palette, of 16 bits, and JPEG."""
    random = np.random.default_rng(0)
    shades = random.integers(0, 255, (9, 7, 4), dtype=np.uint8)
    images = [
        Image.fromarray(shades[:, :, 0]),
        Image.fromarray(shades[:, :, :3]),
        Image.fromarray(shades),
        Image.fromarray(shades[:, :, :3]).quantize(16),
        Image.fromarray(shades[:, :, 0].astype(np.uint16) * 200),
        Image.fromarray(shades[:, :, 0] > 99),
    ]
    found = []
    for image, kind in [*((each, "PNG") for each in images), (images[1], "JPEG")]:
        sink = io.BytesIO()
        image.save(sink, kind)
        found.append(sink.getvalue())
    return found


def png_file(random: Random) -> bytes:
    """Damage anywhere, or in the parts, with checksums that fit."""
    whole = PICTURES[random.integers(len(PICTURES))]
    if random.random() < 0.5 or whole[:2] != b"\x89P":
        return any_change(whole, random)
    parts = [each[:2] for each in parts_of(whole)]
    k = int(random.integers(len(parts)))
    name, data = parts[k]
    change = random.integers(4)
    if change == 0:
        parts[k] = (name, any_change(data, random) if data else b"\0")
    elif change == 1:
        parts.insert(int(random.integers(len(parts) + 1)), parts[k])
    elif change == 2:
        parts.pop(k)
    else:
        header = bytearray(parts[0][1])
        header[int(random.integers(len(header)))] = int(random.integers(256))
        parts[0] = (parts[0][0], bytes(header))
    return png_of(parts)


TS = b"# a comment\n@problemName x\n@timestamps false\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n7,?,9:1,1,1:b\n"

WIDE = b"s0,s1,s2\n1,2,3\n4,5,\n6,,7\n"


def ts_file(random: Random) -> bytes:
    """A .ts text with faults."""
    return (spelled, spelled, any_change)[random.integers(3)](TS, random)


def wide_file(random: Random) -> bytes:
    """A table of sequences with faults."""
    return (spelled, spelled, any_change)[random.integers(3)](WIDE, random)


PARQUET = parquet_files()

PICTURES = pictures()
