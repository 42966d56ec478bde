"""Dates: read from columns, text and indexes, the regular step between them, their continuation, and their seasons.

Dates are numpy ``datetime64`` arrays of any unit, ``timedelta64`` arrays (time since a start), or int64 counters such
as years.
"""

from regen.data.calendar.columns import (
    Dates,
    KnownStep,
    column_dates,
    holds_dates,
    index_dates,
    written_numbers,
)
from regen.data.calendar.offsets import offset_named
from regen.data.calendar.seasons import calendar_season, season_length, seasonal_naive
from regen.data.calendar.steps import Step, date_text, find_step
from regen.data.calendar.zones import to_local, to_utc, zone_named

__all__ = [
    "Dates",
    "KnownStep",
    "Step",
    "calendar_season",
    "column_dates",
    "date_text",
    "find_step",
    "holds_dates",
    "index_dates",
    "offset_named",
    "season_length",
    "seasonal_naive",
    "to_local",
    "to_utc",
    "written_numbers",
    "zone_named",
]
