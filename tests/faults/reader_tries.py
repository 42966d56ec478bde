"""Damaged files for the readers, in a process of bounded memory: ``KIND FIRST COUNT`` in, counts of outcomes out.

Every try takes a whole file, changes it by its seed (bytes at random, or what its format is made of, with checksums
that fit again), and reads it. It must end with the values that a reference reader finds, or in a ValueError or
OSError whose sentence names the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import resource
import sys
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from damaged_files import (
    csv_file,
    gz_file,
    npy_file,
    npz_file,
    parquet_file,
    parts_of,
    png_file,
    ts_file,
    wide_file,
)
from PIL import Image

from regen.data.io.arrays import read_array
from regen.data.io.image_files import read_images
from regen.data.io.sequence_files import read_sequences
from regen.data.io.tables import read_table, write_table

HEADROOM = 2 << 30
"""Bytes of memory that the tries may take beyond what the libraries have."""


class Wrong(AssertionError):
    """Values that differ from those of the reference reader."""


def check_csv(path: Path, content: bytes) -> None:
    """Compare a table with its text."""
    check_cells(read_table(path), content)


def check_cells(table: pa.Table, content: bytes) -> None:
    """Compare a table with the cells that Python's own reader of CSV finds."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode()
    mark = next((each for each in (",", ";", "\t") if each in unquoted_header(text)), ",")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if row]
    if table.column_names != rows[0] or table.num_rows != len(rows) - 1:
        raise Wrong(f"{table.shape} {table.column_names} in place of {len(rows) - 1} rows of {rows[0]}")
    for name, cells in zip(rows[0], zip(*rows[1:], strict=True), strict=True):
        for found, cell in zip(table[name].to_pylist(), cells, strict=True):
            if not same_cell(found, cell):
                raise Wrong(f"{found!r} in place of {cell!r} in {name!r}")


def unquoted_header(text: str) -> str:
    """The first line that is not empty, without what is between quotes."""
    first = text.lstrip("\r\n").replace("\r", "\n").split("\n")[0]
    return "".join(first.split('"')[0::2])


def same_cell(found: Any, cell: str) -> bool:
    """Whether a value is what the text of a cell means."""
    if found is None:
        return cell in pa.csv.ConvertOptions().null_values
    if isinstance(found, str):
        return found == cell
    if isinstance(found, bool):
        return cell.strip().lower() in (("true", "1") if found else ("false", "0"))
    if isinstance(found, int | float):
        plain = cell.strip(" \t").replace(",", ".")
        expected = float(int(plain, 16)) if plain.lower().startswith(("0x", "-0x")) else float(plain)
        return found == expected or (found != found and expected != expected)
    return str(found)[:4] == cell.strip()[:4] or len(cell.strip()) < 10  # dates and times


def check_gz(path: Path, content: bytes) -> None:
    """Compare a table with the text that Python's own reader of gzip finds."""
    check_cells(read_table(path), gzip.decompress(content))


def check_parquet(path: Path, content: bytes) -> None:
    """What pyarrow reads; and where the values are as many and of the same types, those that were written."""
    table = read_table(path)
    expected = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True).read()
    if not same_table(table, expected):
        raise Wrong(f"{table.schema} in place of {expected.schema}")


def same_table(one: pa.Table, other: pa.Table) -> bool:
    """Whether tables are equal; NaN equals NaN."""
    return one.schema.equals(other.schema) and repr(one.to_pydict()) == repr(other.to_pydict())


def check_npy(path: Path, content: bytes) -> None:
    """Compare an array with what NumPy reads."""
    check_equal(read_array(path), np.load(io.BytesIO(content)))


def check_equal(found: Any, expected: Any) -> None:
    """Compare arrays bit for bit."""
    if (
        found.dtype != expected.dtype
        or found.shape != expected.shape
        or found.tobytes() != expected.tobytes()
    ):
        raise Wrong(f"{found.dtype} {found.shape} in place of {expected.dtype} {expected.shape}")


def check_npz(path: Path, content: bytes) -> None:
    """The array X, whose checksum must be that of what is read."""
    found = read_array(path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        expected = np.load(io.BytesIO(archive.read("X.npy" if "X.npy" in names else names[0])))
    check_equal(found, expected)


def check_png(path: Path, content: bytes) -> None:
    """The pixels that Pillow finds; and where every part has its checksum, a picture without a damaged part."""
    images, _ = read_images(path.parent)
    with Image.open(io.BytesIO(content)) as image:
        if content[:4] == b"\x89PNG" and any(
            zlib.crc32(name + data) != crc for name, data, crc in parts_of(content)
        ):
            raise Wrong("a part that its checksum does not fit")
        if image.mode.startswith("I"):  # 16 bits
            expected = np.rint(np.clip(np.asarray(image, np.float64), 0, 65535) / 257)
        else:
            expected = np.asarray(image.convert({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[images.shape[1]]))
    expected = expected.reshape(*image.size[::-1], -1)
    if not np.array_equal(images[0].transpose(1, 2, 0), expected):
        raise Wrong(f"{images.shape} of other pixels in place of {expected.shape}")


def check_ts(path: Path, content: bytes) -> None:
    """Numbers in the order of the file."""
    rows = read_sequences(path)
    lines = [line.strip() for line in io.StringIO(content.decode(), newline=None)]
    at = next(k for k, line in enumerate(lines) if line.lower().startswith("@data"))
    cases = [line for line in lines[at + 1 :] if line and line[0] not in "#@"]
    if len(rows.rows) != len(cases):
        raise Wrong(f"{len(rows.rows)} sequences in place of {len(cases)}")


def check_wide(path: Path, content: bytes) -> None:
    """As many values as the file has cells that are not empty."""
    rows = read_sequences(path).rows
    table = read_table(path)
    if len(rows) != table.num_rows or int(rows.n_steps.max()) > table.num_columns:
        raise Wrong(f"{len(rows)} sequences in place of {table.num_rows}")


KINDS: dict[str, tuple[str, Callable[[Random], bytes], Callable[[Path, bytes], None]]] = {
    "csv": ("t.csv", csv_file, check_csv),
    "gz": ("t.csv.gz", gz_file, check_gz),
    "parquet": ("t.parquet", parquet_file, check_parquet),
    "npy": ("t.npy", npy_file, check_npy),
    "npz": ("t.npz", npz_file, check_npz),
    "png": ("t.png", png_file, check_png),
    "ts": ("t.ts", ts_file, check_ts),
    "wide": ("t.csv", wide_file, check_wide),
}


def attempt(kind: str, seed: int, folder: Path) -> str:
    """One file with damage, read: the outcome. A fault of the reader is raised."""
    name, make, check = KINDS[kind]
    content = make(np.random.default_rng([seed, *kind.encode()]))
    path = folder / name
    path.write_bytes(content)
    try:
        check(path, content)
    except (ValueError, OSError) as error:
        words = str(error)
        own = type(error) in (ValueError, OSError) or type(error).__module__.startswith("regen.")
        if not own or name not in words or words[-1] not in ".?":
            raise
        return "refused"
    return "read"


def main(folder: Path) -> None:
    """Serve requests until the input ends."""
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    write_table(folder / "warm.csv", {"a": np.arange(3)})  # threads are started before the tries
    (folder / "warm.csv").unlink()
    for line in sys.stdin:
        kind, first, count = line.split()
        own = folder / kind
        own.mkdir(exist_ok=True)
        counts: Counter[str] = Counter()
        failures = []
        for seed in range(int(first), int(first) + int(count)):
            (folder / "seed").write_text(f"{kind} {seed}")
            try:
                counts[attempt(kind, seed, own)] += 1
            except BaseException as error:
                failures.append(
                    f"seed {seed}: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
                )
                if len(failures) > 20:
                    break
        print(json.dumps({"counts": counts, "failures": failures}), flush=True)
        for file in own.iterdir():
            os.unlink(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
