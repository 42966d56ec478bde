"""Reports of what a network has learned, as one HTML page or as text for a terminal.

`sections_of` inspects a fitted model and returns the sections of its report; `write` makes a page of them and
`text_report` a text. `page` makes a page of any sections.
"""

from regen._deprecation import moved
from regen.report.data import InspectionData
from regen.report.page import Link, Picture, Section, Table, page
from regen.report.run import sections_of, write
from regen.report.text import text_report

__all__ = [
    "InspectionData",
    "Link",
    "Picture",
    "Section",
    "Table",
    "page",
    "sections_of",
    "text_report",
    "write",
]

__getattr__ = moved(
    __name__,
    {
        "Given": "regen.report:InspectionData",
        "found": "regen.report:sections_of",
        "sheet": "regen.report:text_report",
    },
)
