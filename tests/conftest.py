"""Shared by all tests: shapes in annotations are checked at run time, and random examples repeat exactly."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(
    ["regen.cells", "regen.kernels", "regen.objectives", "regen.nets", "regen.data.windows"],
    "beartype.beartype",
)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci")
