"""What single columns of a table hold: dates and durations, the values that they can have, identifiers."""
