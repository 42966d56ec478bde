"""Refusals of autoencoders from the command line: other runs, other data, and paths that cannot be written."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regen.data.io.image_files import write_images

pytestmark = pytest.mark.usefixtures("autoencoder_files")

REFUSED: list[tuple[tuple[str, ...], str]] = [
    (
        ("fit", "vae", "pitcures"),
        "There is no file or folder 'pitcures'. Did you mean 'pictures'?",
    ),
    (("fit", "vae", "tabel.csv"), "There is no file 'tabel.csv'. Did you mean 'table.csv'?"),
    (
        ("fit", "vae", "notes.txt"),
        "'notes.txt' is nothing that regen reads: a folder of .png and .jpg pictures, or a file that ends in .csv,"
        " .csv.gz, .parquet, .npy, .npz, .ts.",
    ),
    (
        ("fit", "vae", "objects.npy"),
        "'objects.npy' is no NumPy file of numbers: it is damaged, was cut short, or holds Python objects, which"
        " regen does not open.",
    ),
    (
        ("encode", "vae-table", "pictures"),
        "'pictures' holds pictures. The VariationalAutoencoder was fitted on a table.",
    ),
    (
        ("reconstruct", "vae-table", "table.csv", "-o", "out.png"),
        "'out.png' is for pictures. The VariationalAutoencoder was fitted on a table: give a .csv, .parquet, .npy or"
        " .npz file.",
    ),
    (
        ("reconstruct", "vae-pictures", "pictures", "-o", "out.gif"),
        "'out.gif' does not end in .csv, .csv.gz, .parquet, .npy or .npz, or .png for a grid of pictures.",
    ),
    (
        ("reconstruct", "vae-pictures", "pictures"),
        "Give --output for the images: a .png file for all in a grid, a folder for a picture each, or"
        " a .npy, .npz, .csv or .parquet file of numbers.",
    ),
    (
        ("reconstruct", "vae-pictures", "pictures", "-o", "pictures"),
        "'pictures' is the input file. Choose another file with --output.",
    ),
    (
        ("encode", "vae-table", "table.csv", "-o", "codes.txt"),
        "'codes.txt' does not end in .csv, .csv.gz, .parquet, .npy or .npz.",
    ),
    (
        ("encode", "vae-pictures", "small"),
        "X has images of (1, 7, 8) channels, rows and columns. Those fitted had (1, 8, 8).",
    ),
    (
        ("encode", "vae-pictures", "broken"),
        "'broken/a.png' is not a whole PNG or JPEG picture: it is damaged, was cut short, or is something else. Write"
        " or fetch it again, or take it away.",
    ),
    (
        ("decode", "vae-table", "wide.npy", "-o", "x.csv"),
        "Z must have 2 columns, the size of the code. Got 3 columns.",
    ),
    (
        ("sample", "denoiser-table"),
        "regen sample is for a VariationalAutoencoder, a GAN or a DCGAN. 'denoiser-table' holds a"
        " DenoisingAutoencoder, which is for regen encode, decode, reconstruct, score, denoise and impute.",
    ),
    (
        ("predict", "autoencoder-table", "table.csv"),
        "regen predict is for a Forecaster, a SequenceClassifier or a SequenceRegressor. 'autoencoder-table' holds an"
        " Autoencoder, which is for regen encode, decode, reconstruct and score.",
    ),
    (
        ("backtest", "vae-table", "table.csv"),
        "A backtest is for a Forecaster. 'vae-table' holds a VariationalAutoencoder.",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(words: tuple[str, ...], sentence: str, refusal: Any) -> None:
    """One sentence on stderr, exit code 2, and nothing is written."""
    Path("notes.txt").write_text("notes")
    np.save("objects.npy", np.array([None, "a"]))
    np.save("wide.npy", np.zeros((2, 3)))
    write_images("small", np.zeros((2, 7, 8), np.uint8))
    Path("broken").mkdir()
    Path("broken/a.png").write_bytes(Path("pictures/0001.png").read_bytes()[:60])
    before = sorted(os.listdir())
    assert refusal(*words) == sentence
    assert sorted(os.listdir()) == before
