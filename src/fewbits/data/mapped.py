"""Arrays of .npz files, and of folders of .npy files; large ones stay in their file, mapped into memory.

A member that `numpy.savez` stored as it is, is mapped where it lies. One that `numpy.savez_compressed` packed is
unpacked once, into fewbits' cache folder (fewbits/data in $XDG_CACHE_HOME, or in ~/.cache), and mapped there. Each time
the CRC-32 that the archive holds is compared. Nothing is unpickled, and what a header promises is checked before
anything is mapped or allocated. Who overwrites a mapped file in place ends the processes that read it (SIGBUS).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import lzma
import math
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from fewbits.data.files import MAX_BYTES
from fewbits.data.images import Array
from fewbits.errors import DataError

MAP_FROM = 48 * 1024**2
"""Bytes from which an array is mapped. Smaller ones are read, so that their file may be replaced meanwhile: MNIST's 45
MiB are. Two such parts and the 190 MiB that a process has anyway stay below 300."""

_PIECE = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s22x2H")
"""Of a member of a zip file: signature, lengths of the name and of the extra field (APPNOTE 6.3, section 4.3.7)."""

_READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    RuntimeError,
    RecursionError,
    MemoryError,
    ArithmeticError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What zipfile, its decompressors and numpy's reader of headers raise on damaged files."""


@dataclass(frozen=True)
class _Header:
    """What an array's header promises."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]
    size: int
    """Bytes of the header itself."""

    @property
    def promised(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_arrays(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Array]:
    """The arrays of an .npz file under these keys, those optional only if they are there; read-only where mapped.

    path: of the file, or of a folder with an .npy file for each key.
    Raises DataError if the file is not .npz, is cut short or damaged, lacks a key, or holds Python objects.
    """
    if path.is_dir():
        keys = [*required, *(key for key in optional if (path / f"{key}.npy").is_file())]
        return {key: _of_file(path / f"{key}.npy") for key in keys}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [key for key in required if key not in members]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)}; it has {', '.join(members) or 'nothing'}")
            keys = [*required, *(key for key in optional if key in members)]
            return {key: _member(path, archive, archive.getinfo(members[key])) for key in keys}
    except FileNotFoundError:
        raise DataError(f"no file {path}") from None
    except _READ_ERRORS as error:
        raise DataError(f"{path} is not a whole .npz file: {str(error) or type(error).__name__}") from error


def _of_file(path: Path) -> Array:
    """The array of an .npy file. Raises DataError if it is none, is cut short, or holds Python objects."""
    try:
        with path.open("rb") as file:
            header = _header(f"{path}", file, path.stat().st_size)
            if header.promised >= MAP_FROM:
                return _map(path, 0, header)
            file.seek(0)
            return npy.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"no file {path}") from None
    except _READ_ERRORS as error:
        raise DataError(f"{path} is not a whole .npy file: {str(error) or type(error).__name__}") from error


def unpacked_notes(path: Path, arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """A note of the arrays that were unpacked into the cache folder, as `read_arrays` gave them."""
    mapped = [(key, Path(f"{array.filename}")) for key, array in arrays.items() if isinstance(array, np.memmap)]
    names = [key for key, file in mapped if not file.is_relative_to(path.resolve())]
    if not names:
        return ()
    return (
        f"{path.name}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} compressed, so unpacked into the cache "
        "folder fewbits/data, which may be deleted; numpy.savez stores what is mapped as it is",
    )


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """One array: read if it is small, else mapped."""
    name = f"{path}: {member.filename}"
    with archive.open(member) as file:
        header = _header(name, file, member.file_size)
    if header.promised >= MAP_FROM:
        if member.compress_type == zipfile.ZIP_STORED:
            start = _start(path, member)
            _check_crc(name, path, start, member)
            return _map(path, start, header)
        unpacked = _unpacked(name, path, archive, member)
        if unpacked is not None:
            return _map(unpacked, 0, header)
        if header.promised > MAX_BYTES:
            raise DataError(
                f"{name} is compressed and has {header.promised} bytes, more than the limit {MAX_BYTES} of what is "
                "unpacked in memory, and the cache folder has no room for it: store it with numpy.savez"
            )
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def _header(name: str, file: IO[bytes], file_size: int) -> _Header:
    """The header of an array at the begin of a file of `file_size` bytes, which must hold what it promises."""
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    header = _Header(shape, is_fortran, dtype, file.tell())
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which are not read")
    if min(shape, default=0) < 0 or header.promised > file_size - header.size:
        raise DataError(f"{name} promises {header.promised} bytes, more than it holds ({file_size - header.size})")
    return header


def _map(path: Path, start: int, header: _Header) -> Array:
    """The array whose header begins at `start`. Read-only."""
    order = "F" if header.is_fortran else "C"
    return np.memmap(path, header.dtype, "r", start + header.size, header.shape, order)


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member begins, which lies within the file."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if signature != b"PK\3\4" or start + member.file_size > path.stat().st_size:
        raise zipfile.BadZipFile(f"{member.filename} lies outside of the file")
    return start


def _check_crc(name: str, path: Path, start: int, member: zipfile.ZipInfo) -> None:
    """Refuse a member whose bytes from `start` on are not those that the archive was made of."""
    found, left = 0, member.file_size
    with path.open("rb") as file:
        file.seek(start)
        while left and (piece := file.read(min(left, _PIECE))):
            found, left = zlib.crc32(piece, found), left - len(piece)
    if left or found != member.CRC:
        raise DataError(f"{name} is damaged: its CRC-32 is not the one that the file states")


def _unpacked(name: str, path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Path | None:
    """The file in the cache folder that holds a member as it is, made now unless it is there; None without room for it.

    It belongs to a file of one place, inode, size and time of change; what was unpacked of an earlier one is removed.
    """
    status = path.stat()
    made_of = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, member.CRC, member.file_size)
    place = _hex(f"{path.resolve()}\0{member.filename}")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewbits" / "data"
    target = folder / f"{place}-{_hex(repr(made_of))}.npy"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / f"{place}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits, and finds it unpacked
            if target.exists():
                with contextlib.suppress(DataError):
                    _check_crc(name, target, 0, member)
                    return target
            for old in folder.glob(f"{place}-*.npy"):
                old.unlink()
            if member.file_size > shutil.disk_usage(folder).free // 2:
                return None
            _unpack(archive, member, target)
    except OSError:
        return None  # a folder that cannot be written
    return target


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack a member under a name of its own and move it to its place, so that it is there whole or not at all.

    zipfile compares the CRC-32, and gives no more than the size that the archive states.
    """
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=target.parent) as name:
        part = Path(name) / "part.npy"
        with archive.open(member) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, _PIECE)
        part.replace(target)


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
