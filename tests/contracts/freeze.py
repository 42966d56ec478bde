"""What users hold on to: the public names, the defaults of their arguments, and the command-line flags, one a line.

python tests/contracts/freeze.py --write      accept all as they are now (make freeze)
python tests/contracts/freeze.py names        print the public names
python tests/contracts/freeze.py defaults     print the defaults
python tests/contracts/freeze.py flags        print the flags
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import regen

HERE = Path(__file__).resolve().parent
NAMES, DEFAULTS, FLAGS = (HERE / f"{what}.txt" for what in ("public_names", "public_defaults", "cli_flags"))
UNLISTED = {"cli"}  # its surface is the flags


def public_names() -> list[str]:
    """`regen.Forecaster`, `regen.nn.LSTM`, ...: what the package and its public modules list in `__all__`."""
    modules = {"regen": regen}
    for found in pkgutil.iter_modules(regen.__path__):
        if not found.name.startswith("_") and found.name not in UNLISTED:
            modules[f"regen.{found.name}"] = importlib.import_module(f"regen.{found.name}")
    names = []
    for path, module in modules.items():
        for name in getattr(module, "__all__", ()):
            getattr(module, name)  # a name that is listed exists
            names.append(f"{path}.{name}")
    return sorted(names)


def defaults_of(path: str, found: Any) -> Iterator[str]:
    """`regen.Forecaster.predict: level=None`, ...: a line a default of a function, or of the methods of a class."""
    if inspect.isclass(found):
        for name in dir(found):
            if name == "__init__" or not name.startswith("_"):
                yield from defaults_of(f"{path}.{name}".removesuffix(".__init__"), getattr(found, name))
    elif inspect.isroutine(found) and getattr(found, "__module__", "").startswith("regen"):
        for parameter in inspect.signature(found).parameters.values():
            if parameter.default is not inspect.Parameter.empty:
                default = parameter.default
                yield f"{path}: {parameter.name}={getattr(default, '__qualname__', None) or repr(default)}"


def public_defaults() -> list[str]:
    """The defaults of all arguments of the public functions, classes and their public methods."""
    lines = []
    for name in public_names():
        module, _, last = name.rpartition(".")
        lines += defaults_of(name, getattr(importlib.import_module(module), last))
    return sorted(lines)


def flags_of(command: Any, path: str) -> Iterator[str]:
    """`regen fit forecaster --hidden`, `regen predict MODEL`, ...: a line a parameter of `command`."""
    for parameter in command.params:
        words = [*parameter.opts, *parameter.secondary_opts]
        yield f"{path} {', '.join(words)}" if words[0].startswith("-") else f"{path} {parameter.name.upper()}"
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield f"{path} {name}"
        yield from flags_of(below, f"{path} {name}")


def cli_flags() -> list[str]:
    """Every command and every flag of the command line."""
    typer = importlib.import_module("typer.main")
    cli = importlib.import_module("regen.cli")
    return sorted(flags_of(typer.get_command(cli.app), "regen"))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["names"]:
            print("\n".join(public_names()))
        case ["defaults"]:
            print("\n".join(public_defaults()))
        case ["flags"]:
            print("\n".join(cli_flags()))
        case ["--write"]:
            NAMES.write_text("\n".join([*public_names(), ""]))
            DEFAULTS.write_text("\n".join([*public_defaults(), ""]))
            FLAGS.write_text("\n".join([*cli_flags(), ""]))
        case _:
            sys.exit(__doc__)
