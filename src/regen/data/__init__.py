"""What the net sees and when: windows, dataframes, files and the series that ship with the package."""
