"""What `import regen` may not bring in; benchmarks/import_time.py measures the time."""

import subprocess
import sys
from pathlib import Path

HEAVY = (
    "IPython",
    "PIL",
    "dash",
    "duckdb",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "plotly",
    "polars",
    "pyarrow",
    "ray",
    "rich",
    "sklearn",  # it brings scipy.stats and pandas, and takes as long as torch
    "statsmodels",
    "typer",
)


def brought(module: str, folder: Path) -> set[str]:
    """The heavy packages that `import module` loads, in a process of its own started in `folder`."""
    line = f"import sys; sys.path.insert(0, ''); import {module}; print(*sys.modules)"
    command = [sys.executable, "-c", line]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(HEAVY) & set(result.stdout.split())


def test_import_is_light(tmp_path: Path) -> None:
    """`import regen` loads none of these that `import torch` does not: estimators come when first named."""
    assert brought("regen", tmp_path) <= brought("torch", tmp_path)


def test_a_heavy_import_is_caught(tmp_path: Path) -> None:
    """A module that imports pandas is told."""
    (tmp_path / "heavy_twin.py").write_text("import pandas\n")
    assert "pandas" in brought("heavy_twin", tmp_path)
