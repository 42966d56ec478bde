"""What the benchmarks share: contestants, points of the grid, timing in turn, and the machine's peak."""
