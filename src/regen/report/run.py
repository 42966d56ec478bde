"""Everything about one run: the sections that fit its kind, as a page or as text."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from regen.report.data import Given
from regen.report.latent import compresses, creates
from regen.report.learned import loading, trained, trained_on
from regen.report.page import Section, page
from regen.report.predictions import predicts, remembers

__all__ = ["found", "write"]

UNKNOWN = "The data are not known: nothing was given to look at it with."


def found(
    model: Any,
    given: Given | None = None,
    *,
    facts: Mapping[str, Any] | None = None,
    run: str = "model.safetensors",
    absent: str = UNKNOWN,
) -> list[Section]:
    """What can be said of a model: how it trained, and what it predicts, remembers, compresses and creates.

    Parameters
    ----------
    model : a fitted estimator.
    given : the data to look at it with. Without them, what the model itself knows.
    facts : what the ``run.json`` of its run says.
    run : the path by which it is loaded.
    absent : in words, why there are no data.
    """
    facts = facts or {}
    parts = [
        trained(model, facts),
        predicts(model, given),
        remembers(model, given),
        compresses(model, given),
        creates(model, given),
        trained_on(model, given, absent),
        loading(model, run),
    ]
    return [part for part in parts if part is not None]


def write(model: Any, sections: list[Section], path: str | PathLike[str], title: str = "") -> Path:
    """Write the page of a model, and return its path.

    Parameters
    ----------
    model : a fitted estimator. sections : what was `found` of it.
    path : of the HTML file. title : of the page; the estimator's name when empty.
    """
    name = type(model).__name__
    lead = "What this network has learned, found by looking inside. Every chart can be read as a table, too."
    foot = "Written by regen. This page needs no network connection."
    return page(title or name, sections, path, lead=lead, foot=foot)
