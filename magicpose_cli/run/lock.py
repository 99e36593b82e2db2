"""One run at a time: a lock on a file, which the system releases however its holder ends.

The package filelock, which comes with torch, does not do: it neither tells who holds a lock nor
removes the file on POSIX, so that the process id and the race between removing and taking would
stay here; on a disk without locks it goes over to files that a killed run leaves behind; and its
older releases empty the file that another process holds.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what disks say that have no locks
_LOCKED_OFFSET = (
    1 << 30
)  # Windows locks bytes for reading, too; this one lies behind the process id


class Locked(Exception):
    """Another process holds the lock.

    Attributes:
        owner: Id of that process, "unknown" where it is not told.
    """

    def __init__(self, owner: str):
        super().__init__(f"held by process {owner}")
        self.owner = owner


class Lock:
    """The lock on this file, which is made where it is missing, from now to `release` or `remove`.

    A disk that knows no locks holds nobody off.

    Raises:
        Locked: Another process holds the lock.
        FileNotFoundError: The folder is missing.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(self._file)
                if _is_at(self._file, path):
                    os.ftruncate(self._file, 0)
                    os.write(self._file, str(os.getpid()).encode())
                    return
            except BlockingIOError:
                os.lseek(self._file, 0, os.SEEK_SET)
                owner = os.read(self._file, 32).decode(errors="replace")
                os.close(self._file)
                raise Locked(owner or "unknown") from None
            except OSError:
                os.close(self._file)
                raise
            os.close(self._file)  # its holder removed the file before the lock was ours

    def release(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def remove(self) -> None:
        """Remove the file and let others make a new one."""
        if sys.platform == "win32":  # where an open file cannot be removed, nor a held one
            os.close(self._file)
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:
                return
        else:
            self.path.unlink(missing_ok=True)
            os.close(self._file)


def _lock(file: int) -> None:
    """Lock an open file at once. Raises BlockingIOError where another has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _LOCKED_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
