"""The command line as a program, `regen` or `python -m regen`. Ctrl-C works while the imports still run."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["main"]

WORDS, INTERRUPTED = "Interrupted by Ctrl-C.", 130


def leave(*_: Any) -> None:
    """End the process at once; an exception could be lost or turned into another by a module half imported."""
    os.write(2, f"{WORDS}\n".encode())
    os._exit(INTERRUPTED)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """End the process at Ctrl-C, unless a handler is installed."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


with leaving_at_once():
    from regen.cli import app


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except KeyboardInterrupt:  # before or after the commands, which handle it themselves
        print(WORDS, file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
