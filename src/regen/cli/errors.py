"""Errors of the command line: one sentence on stderr and exit code 2 where the user can fix it; no traceback."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import typer
from typer.core import TyperGroup

from regen.cli.signals import CODES, Interruptible
from regen.training.row_parts import lacks_memory

__all__ = ["Interrupted", "PlainGroup", "say"]

# The base of every misuse that typer finds by itself, in all its versions.
Misuse: Any = typer.BadParameter.__base__
REFUSED, INTERRUPTED = 2, 130


class Interrupted(Exception):
    """A signal stopped the training; the message names what was kept."""


@final
class PlainGroup(TyperGroup):
    """A group of commands that handles the errors of all of them."""

    def main(  # type: ignore[override]  # the rest of its arguments differs between versions of typer
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any
    ) -> Any:
        """Run a command and exit."""
        with _warnings_in_words(), Interruptible() as signals:
            sys.exit(self._exit_code(args, prog_name, options | {"standalone_mode": False}, signals))

    def _exit_code(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        options: dict[str, Any],
        signals: Interruptible,
    ) -> int:
        try:
            code = super().main(args=args, prog_name=prog_name or "regen", **options)
        except Misuse as error:
            say(_misuse(error))
            return REFUSED
        except Interrupted as error:
            say(str(error))
            return CODES.get(signals.cause, INTERRUPTED)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except (ValueError, OSError, ImportError) as error:
            say(_in_words(error))
            return REFUSED
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            say("There is not enough memory for this. Choose smaller sizes, or give less data.")
            return REFUSED
        if code == INTERRUPTED:
            cause = signals.cause or "Ctrl-C"
            say(f"Interrupted by {cause}.")
            return CODES[cause]
        return code if isinstance(code, int) else 0


def say(sentence: str) -> None:
    """Print on stderr, separate from results."""
    typer.echo(sentence, err=True)


def _in_words(error: Exception) -> str:
    """The message of an error; that of the system without its number, such as "'x': File name too long."."""
    if isinstance(error, OSError) and error.strerror and str(error).startswith("[Errno"):
        return f"{error.filename!r}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error)


def _misuse(error: Any) -> str:
    """One sentence about a wrong command line, and where to read the right one."""
    message = error.format_message()
    if error.ctx is None or message.startswith("Usage:"):
        return str(message)
    end = "" if message.endswith(("?", ".")) else "."
    return f"{message}{end} See: {error.ctx.command_path} --help"


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Show warnings as sentences, without the place in the code."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        say(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
