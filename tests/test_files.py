"""Files that appear whole or not at all, and locks that end with the process that holds them."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regen import _files
from regen._files import FileLock, Holder, atomic_write, flush_folder, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions, links and signals of POSIX")


def put(path: Path, content: bytes = b"new") -> None:
    """Write a file."""
    with atomic_write(path) as file:
        file.write(content)


def names(folder: Path) -> set[str]:
    """What is in a folder."""
    return {path.name for path in folder.iterdir()}


def mode(path: Path) -> int:
    """Permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    """During the block the former file is whole; after it the new one is, and no other is left."""
    path = tmp_path / "a"
    path.write_bytes(b"former")
    with atomic_write(path) as file:
        file.write(b"ne")
        file.flush()
        assert path.read_bytes() == b"former" and len(names(tmp_path)) == 2
        file.write(b"w")
    assert path.read_bytes() == b"new" and names(tmp_path) == {"a"}


def test_neighbours_are_not_touched(tmp_path: Path) -> None:
    """Files with the names that other programs give to drafts stay, and are not followed where they are links."""
    for name in ("a.part", ".a.part", "a.tmp", "a~", ".a.00000000"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "a.link").symlink_to(tmp_path / "a.part")
    before = names(tmp_path)
    put(tmp_path / "a")
    assert names(tmp_path) == before | {"a"}
    assert (tmp_path / "a.part").read_bytes() == b"mine"


def test_names_of_drafts_cannot_be_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link planted under the name of a draft is not followed: another name is taken."""
    planned = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(_files.secrets, "token_hex", lambda size: next(planned))
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / f".regen-{'0' * 16}.draft").symlink_to(victim)
    put(tmp_path / "a")
    assert victim.read_bytes() == b"mine" and (tmp_path / "a").read_bytes() == b"new"
    monkeypatch.undo()
    drafts = set()
    for _ in range(3):
        with atomic_write(tmp_path / "a"):
            drafts |= names(tmp_path) - {"a", "victim", f".regen-{'0' * 16}.draft"}
    assert len(drafts) == 3


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(umask: int, tmp_path: Path) -> None:
    """The umask decides, as for a file that `open` makes; a file that is replaced keeps its own."""
    path = tmp_path / "a"
    before = os.umask(umask)
    try:
        put(path)
        assert mode(path) == 0o666 & ~umask
        path.chmod(0o640)
        put(path)
        assert mode(path) == 0o640
    finally:
        os.umask(before)


def test_a_link_stays(tmp_path: Path) -> None:
    """The file that a link points to is replaced, or made; a relative link is one from its own folder."""
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "file"
    link.symlink_to(Path("there") / "file")
    for content in (b"first", b"second"):
        put(link, content)
        assert link.is_symlink() and target.read_bytes() == content
    assert names(tmp_path) == {"there", "link"} and names(tmp_path / "there") == {"file"}
    target.unlink()
    target.parent.rmdir()
    with pytest.raises(FileNotFoundError, match=f"there is no folder '{tmp_path}/there'"):
        put(link)


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a pipe, a circle of links and a read-only file, each in one sentence."""
    folder, pipe, circle, kept = (tmp_path / name for name in ("folder", "pipe", "circle", "kept"))
    folder.mkdir()
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    kept.write_bytes(b"mine")
    monkeypatch.setattr(os, "access", lambda path, wanted: path != kept)  # as root, all is writable
    cases: dict[Path, tuple[type[OSError], str]] = {
        folder: (IsADirectoryError, "it is a folder. Give the path of a file."),
        pipe: (OSError, "it is a device or a pipe. Give the path of a file."),
        circle: (OSError, "Too many levels of symbolic links. Choose another path."),
        kept: (PermissionError, "the file is read-only. Make it writable, or choose another path."),
    }
    before = names(tmp_path)
    for path, (kind, words) in cases.items():
        with pytest.raises(kind) as caught:
            put(path)
        assert str(caught.value) == f"{str(path)!r} cannot be written: {words}"
    assert names(tmp_path) == before and kept.read_bytes() == b"mine"


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen", "write"])
@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_failure_leaves_the_former_file(
    call: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, the former file is whole, no other is left, and an error of the system names the path."""
    path = tmp_path / "a"
    path.write_bytes(b"former")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    if call != "write":
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)) as caught, atomic_write(path) as file:
        file.write(b"half")
        if call == "write":
            fail()
    assert path.read_bytes() == b"former" and names(tmp_path) == {"a"}
    if error is FULL:
        why = "No space left on device. Nothing was left behind."
        assert str(caught.value) == f"{str(path)!r} cannot be written: {why}"
        assert caught.value.errno == errno.ENOSPC


def test_a_first_error_is_not_hidden(tmp_path: Path) -> None:
    """What is still in the buffer when the block fails, and cannot be written either, hides nothing."""
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as file:
        file.write(b"buffered")
        os.close(file.fileno())
        raise KeyboardInterrupt
    assert names(tmp_path) == set()


@pytest.mark.parametrize(("number", "fails"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_a_folder_that_cannot_be_flushed(
    number: int, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk is reported, and the file is new; a file system without such a call is no error."""
    path, flush = tmp_path / "a", os.fsync
    path.write_bytes(b"former")

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if fails:
        with pytest.raises(OSError) as caught:
            put(path)
        assert str(caught.value) == (
            f"{str(tmp_path)!r} cannot be flushed to the disk: Input/output error. Its files are whole, but a power"
            " failure may bring the former ones back."
        )
    else:
        put(path)
    assert path.read_bytes() == b"new" and names(tmp_path) == {"a"}


def test_the_folder_is_flushed_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes to the disk, then gets its name, and then the name goes to the disk."""
    calls: list[str] = []
    flush, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append("flush folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "flush file")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    put(tmp_path / "a")
    assert calls == ["flush file", "rename", "flush folder"]
    calls.clear()
    with atomic_write(tmp_path / "a", alone=False) as file:
        file.write(b"new")
    assert calls == ["flush file", "rename"]
    flush_folder(tmp_path)
    assert calls[2:] == ["flush folder"]


CHILD = """
import os, signal, sys, time
from pathlib import Path
from regen._files import FileLock, atomic_write
{}
print("ready", flush=True)
time.sleep(60)
"""
DRAFT = (
    "writing = atomic_write(Path(sys.argv[1])); file = writing.__enter__(); file.write(b'half'); file.flush()"
)
LOCK = "lock = FileLock(Path(sys.argv[1])); print(lock.acquire())"


@pytest.fixture
def child(tmp_path: Path) -> Any:
    """Starts a process that runs some lines on the path ``a`` and then waits, and kills it in the end."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD.format(code), str(tmp_path / "a")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while process.stdout.readline().strip() not in ("ready", ""):
            pass
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


WRITER = """
letter = sys.argv[2].encode()
for _ in range(150):
    with atomic_write(Path(sys.argv[1])) as file:
        for _ in range(16):
            file.write(letter * 4096)
            file.flush()
sys.exit()
"""


def test_two_writers_tear_nothing(tmp_path: Path) -> None:
    """While two processes write one file all the time, whoever reads it gets the whole of one of them."""
    path = tmp_path / "a"
    code = CHILD.format(WRITER)
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "xy"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 16 * 4096 and len(set(content)) == 1
            reads += 1
    assert [writer.wait() for writer in writers] == [0, 0] and reads > 10 and names(tmp_path) == {"a"}


def test_a_sweep_removes_orphans_and_nothing_else(tmp_path: Path, child: Callable[[str], Any]) -> None:
    """The draft of a living writer stays, that of a killed one goes with the next write into the folder."""
    process = child(DRAFT)
    (draft,) = names(tmp_path)
    put(tmp_path / "b")
    with atomic_write(tmp_path / "a"):  # one of this process
        sweep(tmp_path)
        assert len(names(tmp_path)) == 3
    assert names(tmp_path) == {draft, "a", "b"}
    process.send_signal(signal.SIGKILL)
    process.wait()
    put(tmp_path / "b")
    assert names(tmp_path) == {"a", "b"}


def test_a_sweep_follows_no_link(tmp_path: Path) -> None:
    """What bears the name of a draft and is a link, a folder or a pipe is left where it is."""
    kept, link, folder, pipe = (tmp_path / f".regen-{digit * 16}.draft" for digit in "0123")
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link.symlink_to(victim)
    folder.mkdir()
    os.mkfifo(pipe)
    kept.write_bytes(b"orphan")
    sweep(tmp_path)
    assert names(tmp_path) == {"victim", link.name, folder.name, pipe.name} and victim.read_bytes() == b"mine"
    sweep(tmp_path / "nowhere")


def test_a_writer_whose_draft_is_swept_takes_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that comes between the making of a draft and its lock does no harm."""
    lock, found = _files._lock, []

    def swept_first(descriptor: int) -> bool:
        if not found:
            found.extend(names(tmp_path))
            (tmp_path / found[0]).unlink()
        return lock(descriptor)

    monkeypatch.setattr(_files, "_lock", swept_first)
    put(tmp_path / "a")
    assert len(found) == 1 and names(tmp_path) == {"a"}


def test_without_locks_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks a file is written all the same, and no draft is swept."""

    def none(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_files, "_lock", none)
    orphan = tmp_path / f".regen-{'0' * 16}.draft"
    orphan.write_bytes(b"")
    put(tmp_path / "a")
    assert names(tmp_path) == {"a", orphan.name}
    with pytest.raises(OSError, match="No locks available"):
        FileLock(tmp_path / "a").acquire()


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    """In one process too, also through a link; it is named; afterwards no file is left."""
    path, link = tmp_path / "a", tmp_path / "link"
    link.symlink_to(path)
    first, second = FileLock(path), FileLock(link)
    assert first.holder() is None and first.acquire() is None
    for found in (second.acquire(), second.holder()):
        assert found is not None and (found.pid, found.host) == (os.getpid(), socket.gethostname())
        assert str(found) == f"this process, in another thread or an unfinished call, since {found.since}"
    second.release()  # without effect: it does not hold it
    assert second.acquire() is not None
    first.release()
    assert names(tmp_path) == {"link"}
    assert second.acquire() is None
    second.release()
    second.release()
    assert names(tmp_path) == {"link"} and second.holder() is None


def test_a_lock_ends_with_its_process(tmp_path: Path, child: Callable[[str], Any]) -> None:
    """Another process that has it is named; when it is killed, its stale file is no obstacle and goes in the end."""
    process = child(LOCK)
    lock = FileLock(tmp_path / "a")
    holder = lock.acquire()
    assert holder is not None
    assert str(holder) == f"process {process.pid} on host {socket.gethostname()!r} since {holder.since}"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == {".a.regen-lock"}
    assert lock.holder() is None and lock.acquire() is None
    assert FileLock(tmp_path / "a").holder() == Holder(os.getpid(), socket.gethostname(), lock.holder().since)
    lock.release()
    assert names(tmp_path) == set()


def test_a_forked_child_does_not_give_the_lock_back(tmp_path: Path) -> None:
    """What a child that was forked during a training does in the end does not open its lock to others."""
    lock = FileLock(tmp_path / "a")
    assert lock.acquire() is None
    lock._pid += 1  # as in a child
    lock.release()
    assert names(tmp_path) == {".a.regen-lock"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "x"}', b"\xff" * 50, b"[" * 5000])
def test_an_unsigned_lock(content: bytes, tmp_path: Path) -> None:
    """A lock whose file says nothing is held by another process."""
    lock = FileLock(tmp_path / "a")
    assert lock.acquire() is None
    (tmp_path / ".a.regen-lock").write_bytes(content)
    assert str(FileLock(tmp_path / "a").acquire()) == "another process"
    lock.release()


def test_a_planted_lock_file(tmp_path: Path) -> None:
    """A link under the name of the lock file is not followed, and a file with a second name is not written."""
    victim, place = tmp_path / "victim", tmp_path / ".a.regen-lock"
    victim.write_bytes(b"mine")
    place.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "a").acquire()
    place.unlink()
    os.link(victim, place)
    lock = FileLock(tmp_path / "a")
    assert lock.acquire() is None
    lock.release()
    assert victim.read_bytes() == b"mine"


def test_many_threads_take_turns(tmp_path: Path) -> None:
    """Never do two threads hold a lock, though its file is made and removed all the time."""
    inside, most, turns = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, turns
        for _ in range(40):
            lock = FileLock(tmp_path / "a")
            if lock.acquire() is not None:
                continue
            with guard:
                inside += 1
                turns += 1
                most = max(most, inside)
            with guard:
                inside -= 1
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and turns > 6 and names(tmp_path) == set()
