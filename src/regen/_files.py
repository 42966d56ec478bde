"""Files that appear whole or not at all, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock", "Holder", "atomic_write", "flush_folder", "sweep"]

WINDOWS = sys.platform == "win32"
DRAFT = re.compile(r"\.regen-[0-9a-f]{16}\.draft")
"""Names of the files that `atomic_write` writes before they take the place of another."""
NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
TRIES, PAUSE = 3, 0.02
"""Times, seconds apart, that a lock is tried: `FileLock.holder` has it for a moment."""
NO_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR)
"""Errors of file systems that cannot flush a folder."""


@contextmanager
def atomic_write(path: Path, *, alone: bool = True) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, and is removed when it does not.

    It is written under a random name in the same folder, flushed to the disk and renamed; the folder is flushed, too.
    A link stays, and the file that it points to is replaced. The new file has the permissions of the former one, or
    those of any new file.

    Parameters
    ----------
    path : of the file.
    alone : False for one of many files in a folder, where the caller calls `sweep` before the first one and
        `flush_folder` after the last one.

    Raises
    ------
    OSError
        When the file cannot be written: of the kind that the system raised, in a sentence that names the path. The
        former file stays as it was.
    """
    target, former = _target(path)
    if alone:
        sweep(target.parent)
    draft = _Draft(path, target.parent)
    try:
        if former is not None:
            draft.take_permissions(former)
        file = os.fdopen(draft.descriptor, "wb", closefd=False)
        try:
            yield file
        except BaseException:
            with suppress(OSError):  # of a full disk, say, which must not hide the first error
                file.close()
            raise
        file.close()
        draft.publish(target)
    except OSError as error:
        raise _in_words(error, path, "Nothing was left behind.") from error
    finally:
        draft.discard()
    if alone:
        flush_folder(target.parent)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; the files of living ones stay."""
    with suppress(OSError):  # a folder that cannot be listed keeps what is in it
        for entry in list(os.scandir(folder)):
            if DRAFT.fullmatch(entry.name):
                _remove_orphan(entry.path)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can: a power failure could undo a rename."""
    if WINDOWS:
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # write and search permission alone do for the rename
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            advice = "Its files are whole, but a power failure may bring the former ones back."
            raise _in_words(error, folder, advice, "flushed to the disk") from error
    finally:
        os.close(descriptor)


@final
class Holder(NamedTuple):
    """Who holds a lock: a process, its host, and since when; `pid` is 0 where this is not known."""

    pid: int = 0
    host: str = ""
    since: str = ""

    def __str__(self) -> str:
        """Such as "process 12 on host 'a' since 2026-01-31 12:00:00"."""
        if not self.pid:
            return "another process"
        if (self.pid, self.host) == (os.getpid(), socket.gethostname()):
            return f"this process, in another thread or an unfinished call, since {self.since}"
        return f"process {self.pid} on host {self.host!r} since {self.since}"


@final
class FileLock:
    """The right to write one file, which a single holder has at a time.

    The system takes it back when the process of the holder ends, however it ends. While it is held, there is a file
    ``.NAME.regen-lock`` in the folder of the file NAME.

    Parameters
    ----------
    path : of the file that is to be written. A link stands for the file that it points to.
    """

    def __init__(self, path: Path) -> None:
        target = Path(os.path.realpath(path))
        self._place = target.with_name(f".{target.name[:200]}.regen-lock")
        self._descriptor = -1
        self._pid = 0

    def acquire(self) -> Holder | None:
        """Take the lock and return None, or return who has it.

        Raises
        ------
        OSError
            When the folder is read-only or its disk full, or its file system has no locks.
        """
        refused = 0
        while True:
            descriptor = os.open(self._place, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
            try:
                if not _lock(descriptor):
                    refused += 1
                    if refused == TRIES:
                        return _holder(descriptor)
                    time.sleep(PAUSE)
                elif self._is_current(descriptor):
                    self._sign(descriptor)
                    self._descriptor, descriptor = descriptor, -1
                    return None
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def release(self) -> None:
        """Give the lock back and remove its file; without effect where it is not held, or in a forked child."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        ours = self._pid == os.getpid()
        if ours and not WINDOWS:
            with suppress(OSError):
                os.unlink(self._place)  # while it is locked: nobody else can have it now
        os.close(descriptor)
        if ours and WINDOWS:
            with suppress(OSError):
                os.unlink(self._place)

    def holder(self) -> Holder | None:
        """Who has the lock now, without taking it; None if nobody has."""
        try:
            descriptor = os.open(self._place, os.O_RDWR | NO_LINK)
        except OSError:
            return None
        try:
            return None if _lock(descriptor) else _holder(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        """Whether the locked file still has its name, which the former holder takes away."""
        try:
            now = os.stat(self._place, follow_symlinks=False)
        except FileNotFoundError:
            return False
        mine = os.fstat(descriptor)
        return (now.st_ino, now.st_dev) == (mine.st_ino, mine.st_dev)

    def _sign(self, descriptor: int) -> None:
        self._pid = os.getpid()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        note = json.dumps(Holder(self._pid, socket.gethostname(), since)._asdict())
        found = os.fstat(descriptor)
        if (
            not stat.S_ISREG(found.st_mode) or found.st_nlink != 1
        ):  # it may be another file under a second name
            return
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, note.encode())


@final
class _Draft:
    """A new file under a random name, locked as long as it is written, so that nobody takes it for an orphan."""

    def __init__(self, path: Path, folder: Path) -> None:
        while True:
            self.path = folder / f".regen-{secrets.token_hex(8)}.draft"
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK
                self.descriptor = os.open(self.path, flags, 0o666)
            except FileExistsError:
                continue
            except OSError as error:
                raise _uncreated(error, path, folder) from error
            if self._is_safe():
                return
            self.discard()

    def _is_safe(self) -> bool:
        """Whether it is locked, or cannot be; False when a sweep was quicker."""
        try:
            return _lock(self.descriptor) and bool(os.fstat(self.descriptor).st_nlink)
        except OSError:
            return True

    def take_permissions(self, former: os.stat_result) -> None:
        """Those of the file that is replaced, and its owner where that is allowed."""
        if WINDOWS:
            return
        now = os.fstat(self.descriptor)
        if (now.st_uid, now.st_gid) != (former.st_uid, former.st_gid):
            with suppress(OSError):
                os.fchown(self.descriptor, former.st_uid, former.st_gid)
        if stat.S_IMODE(now.st_mode) != former.st_mode & 0o777:
            with suppress(OSError):
                os.fchmod(self.descriptor, former.st_mode & 0o777)

    def publish(self, target: Path) -> None:
        """Put the file in the place of `target`, once it is on the disk."""
        os.fsync(self.descriptor)
        if WINDOWS:  # which renames no open file
            self._close()
        os.replace(self.path, target)

    def discard(self) -> None:
        """Remove the file, if it has not been published."""
        if not WINDOWS:
            with suppress(OSError):
                os.unlink(self.path)
        self._close()
        if WINDOWS:
            with suppress(OSError):
                os.unlink(self.path)

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def _target(path: Path) -> tuple[Path, os.stat_result | None]:
    """The file that a write to `path` replaces, and what it is now, if it is there."""
    target = Path(os.path.realpath(path))
    folder = target.parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(path)!r} cannot be written: there is no folder {str(folder)!r}.")
    try:
        former = os.stat(target)
    except FileNotFoundError:
        return target, None
    except OSError as error:
        raise _in_words(error, path, "Choose another path.") from error
    if stat.S_ISDIR(former.st_mode):
        raise IsADirectoryError(f"{str(path)!r} cannot be written: it is a folder. Give the path of a file.")
    if not stat.S_ISREG(former.st_mode):
        raise OSError(f"{str(path)!r} cannot be written: it is a device or a pipe. Give the path of a file.")
    if not os.access(target, os.W_OK):
        raise PermissionError(
            f"{str(path)!r} cannot be written: the file is read-only. Make it writable, or choose another path."
        )
    return target, former


def _uncreated(error: OSError, path: Path, folder: Path) -> OSError:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        named = folder if path.is_symlink() else path.parent
        return PermissionError(
            f"{str(path)!r} cannot be written: the folder {str(named)!r} is read-only. Choose another."
        )
    return _in_words(error, path, "Nothing was left behind.")


def _in_words(error: OSError, path: Path, advice: str, done: str = "written") -> OSError:
    """The same kind of error with one sentence, and its number."""
    why = str(error.strerror or error).rstrip(".") or "unknown reason"
    worded = type(error)(f"{str(path)!r} cannot be {done}: {why}. {advice}")
    worded.errno = error.errno
    return worded


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False when another has locked it.

    Raises
    ------
    OSError
        When the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the text, which others may read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _holder(descriptor: int) -> Holder:
    """Who has signed a lock file."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        note = json.loads(os.read(descriptor, 4096))
        holder = Holder(int(note["pid"]), str(note["host"]), str(note["since"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Holder()
    return holder


def _remove_orphan(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | NO_LINK | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    orphan = False
    try:
        orphan = stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor)
        if orphan and not WINDOWS:
            os.unlink(path)
    except OSError:
        pass
    finally:
        os.close(descriptor)
    if orphan and WINDOWS:  # where a file that another has open cannot be removed
        with suppress(OSError):
            os.unlink(path)
