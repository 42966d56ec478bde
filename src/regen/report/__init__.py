"""Pages and sheets of results: what a network has learned, for a browser and for a terminal.

`found` says all there is to say of a fitted model as sections, `write` makes a page of them and `sheet` a text;
`page` makes a page of any others.
"""

from regen.report.data import Given
from regen.report.page import Link, Picture, Section, Table, page
from regen.report.run import found, write
from regen.report.text import sheet

__all__ = ["Given", "Link", "Picture", "Section", "Table", "found", "page", "sheet", "write"]
