"""Real data that ships with the package, each set with its source and licence."""

from regen.datasets._embedded import co2, demand, demand_days, digits, elnino, exercises, macro, sunspots

__all__ = ["co2", "demand", "demand_days", "digits", "elnino", "exercises", "macro", "sunspots"]
