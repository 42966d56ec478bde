"""Signals that end a command: Ctrl-C and SIGTERM, which a shutdown and a scheduler send."""

import signal
import threading
import time
from types import FrameType
from typing import Any, Self, final

__all__ = ["CODES", "Interruptible"]

BOUNCE = 1.0
"""Seconds after a signal in which others are ignored: a terminal or a supervisor may send two for one."""
CAUSES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
CODES = {cause: 128 + number for number, cause in CAUSES.items()}
"""Exit codes by cause, as a shell reports them."""


@final
class Interruptible:
    """A context in which SIGTERM interrupts as Ctrl-C does: by a KeyboardInterrupt whose text names the cause.

    Signals that are ignored or have a handler already are left alone, and so are all of them outside the main thread.
    At its end the former handlers are installed again.

    Attributes
    ----------
    cause : of the first signal, a key of `CODES`; empty when none came.
    """

    def __init__(self) -> None:
        self.cause = ""
        self._last = -BOUNCE
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            for number, handler in usual.items():
                if signal.getsignal(number) is handler:
                    self._former[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *error: object) -> None:
        """Install the former handlers."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now < self._last + BOUNCE:
            return
        self._last = now
        cause = CAUSES[signal.Signals(number)]
        self.cause = self.cause or cause
        raise KeyboardInterrupt(cause)
