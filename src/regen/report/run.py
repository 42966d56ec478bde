"""The report of one run: the sections that fit the model, as a page or as text."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from regen.report.data import InspectionData
from regen.report.latent import compression_section, generation_section
from regen.report.learned import data_section, loading_section, training_section
from regen.report.page import Section, page
from regen.report.predictions import memory_section, prediction_section

__all__ = ["sections_of", "write"]

NO_DATA = "No data were given to inspect the model with."


def sections_of(
    model: Any,
    data: InspectionData | None = None,
    *,
    facts: Mapping[str, Any] | None = None,
    run: str = "model.safetensors",
    absent: str = NO_DATA,
) -> list[Section]:
    """Return the sections of a report: training, predictions, memory, compression, generation, data and loading.

    Parameters
    ----------
    model : Estimator
        A fitted estimator.
    data : InspectionData, default=None
        Data to inspect it with; None gives the sections that need none.
    facts : dict, default=None
        The contents of the ``run.json`` of the run.
    run : str, default="model.safetensors"
        The path from which the model is loaded.
    absent : str, default="No data were given to inspect the model with."
        Why there are no data, as text for the report.

    Returns
    -------
    sections : list of Section
        In the order of the page.
    """
    facts = facts or {}
    sections = [
        training_section(model, facts),
        prediction_section(model, data),
        memory_section(model, data),
        compression_section(model, data),
        generation_section(model, data),
        data_section(model, data, absent),
        loading_section(model, run),
    ]
    return [section for section in sections if section is not None]


def write(model: Any, sections: list[Section], path: str | PathLike[str], title: str = "") -> Path:
    """Write the report of a model as one HTML page.

    Parameters
    ----------
    model : Estimator
        A fitted estimator.
    sections : list of Section
        From `sections_of`.
    path : str or path-like
        The HTML file.
    title : str, default=""
        Title of the page; the class name of the estimator when empty.

    Returns
    -------
    path : Path
        The written file.
    """
    name = type(model).__name__
    lead = "What this network has learned, from an inspection of its parts. Every chart is also available as a table."
    foot = "Written by regen. This page needs no network connection."
    return page(title or name, sections, path, lead=lead, foot=foot)
