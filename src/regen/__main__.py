"""The command line as a program, `regen` or `python -m regen`. Ctrl-C and SIGTERM work while the imports run."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["main"]

WORDS, INTERRUPTED = "Interrupted by Ctrl-C.", 130
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""The handlers that are replaced; any other is left alone."""


def leave(number: int, *_: Any) -> None:
    """End the process at once; an exception could be lost or turned into another by a module half imported."""
    words = WORDS if number == signal.SIGINT else "Interrupted by SIGTERM."
    os.write(2, f"{words}\n".encode())
    os._exit(128 + number)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """End the process at Ctrl-C and SIGTERM, unless a handler is installed."""
    former = {number: signal.getsignal(number) for number in USUAL}
    replaced = [number for number, handler in USUAL.items() if former[number] is handler]
    for number in replaced:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, former[number])


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
