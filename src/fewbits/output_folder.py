"""A folder that fewbits shares with its user: a manifest says which names in it fewbits made. Loads no torch."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fewbits.errors import FewbitsError, StudyError

MANIFEST = ".fewbits-manifest.json"
"""In the folder: {"fewbits": 1, "kept": [names], "written": {name: [SHA-256 of what may be in the file]}}."""

_FORMAT = 1


_ELSEWHERE = "give another folder"


@dataclass(frozen=True)
class Made:
    """Names in a folder that fewbits made."""

    kept: frozenset[str] = frozenset()
    """Files that change all the time, and folders."""

    written: frozenset[str] = frozenset()
    """Files that are written whole."""


def _nothing(_: Path) -> Made:
    """No name."""
    return Made()


@dataclass(frozen=True)
class _Owned:
    """What a manifest says."""

    kept: frozenset[str] = frozenset()
    """Files that change all the time, and folders: of these the name alone is known."""

    written: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Files written whole: what their content may be; two while one takes the other's place."""


@dataclass(frozen=True)
class OutputFolder:
    """A folder as fewbits may write into it: below names that it made, and through no link below the folder itself.

    All other files stay as they are: a name that is wanted and somebody else's, or that the user changed since, is
    refused in one line.
    """

    path: Path
    error: type[FewbitsError] = StudyError
    """What is raised."""

    adopt: Callable[[Path], Made] = _nothing
    """Names in a folder without a manifest that an earlier fewbits, which wrote none, made."""

    def check(self, names: Iterable[str]) -> None:
        """Raise if the folder is none, or one of the names in it is not fewbits's. Writes nothing."""
        self._refuse_no_folder()
        owned = self._owned()
        for name in names:
            self._refuse_foreign(name, owned)

    def keep(self, names: Iterable[str]) -> None:
        """Take names for files that change all the time and for folders; the folder is made if it is not there.

        Raises what `check` raises, or if the folder cannot be made or written.
        """
        names = tuple(names)
        self.check(names)
        with self._writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            owned = self._owned()
            for name in names:
                self._refuse_foreign(name, owned)
            self._note(_Owned(owned.kept | set(names), owned.written))

    def write(self, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Write files whole, all or, where one is refused, none; return their paths.

        Raises what `keep` raises, or if one cannot be written.
        """
        self.check(contents)
        with self._writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        digests = {name: frozenset({_sha256(content)}) for name, content in contents.items()}
        with self._locked():
            owned = self._owned()
            for name in contents:
                self._refuse_foreign(name, owned)
            both = {name: owned.written.get(name, frozenset()) | digest for name, digest in digests.items()}
            self._note(_Owned(owned.kept, {**owned.written, **both}))  # before: a crash leaves nothing unknown
            for name, content in contents.items():
                with self._writing(self.path / name):
                    self._replace(self.path / name, content)
            self._note(_Owned(owned.kept, {**owned.written, **digests}))
        return tuple(self.path / name for name in contents)

    def _refuse_no_folder(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise self.error(f"{str(self.path)!r} is a file: give a folder to write into")
        if self.path.is_symlink() and not self.path.exists():
            raise self.error(f"{str(self.path)!r} is a link to nothing: make what it points to, or give another folder")

    def _refuse_foreign(self, name: str, owned: _Owned) -> None:
        """Raise unless a name is free, or what stands there is fewbits's and may be written."""
        path = self.path / name
        if path.is_symlink():
            raise self.error(f"{str(path)!r} is a link, and fewbits writes through none: remove it, or {_ELSEWHERE}")
        if name in owned.kept or not path.exists():
            return
        if name not in owned.written:
            raise self.error(
                f"{str(path)!r} is not of fewbits, which would overwrite it: move it away, or {_ELSEWHERE}"
            )
        if path.is_dir() or _sha256(path.read_bytes()) not in owned.written[name]:
            raise self.error(
                f"{str(path)!r} was changed since fewbits wrote it: rename it to keep it, or remove it, then give the "
                "command again"
            )
        if not path.stat().st_mode & 0o222:
            raise self.error(f"{str(path)!r} is read-only: allow writing it, rename it to keep it, or {_ELSEWHERE}")

    def _owned(self) -> _Owned:
        """What fewbits made here. Raises if the manifest's name is taken by something else."""
        path = self.path / MANIFEST
        if path.is_symlink():
            raise self.error(f"{str(path)!r} is a link, and fewbits writes through none: remove it, or {_ELSEWHERE}")
        try:
            return _parsed(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return self._adopted()
        except OSError as error:
            raise self.error(f"cannot read {str(path)!r}: {error.strerror}; {_ELSEWHERE}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            adopted = self._adopted()
            if not adopted.kept and not adopted.written:
                raise self.error(f"{str(path)!r} is damaged or not of fewbits: remove it, or {_ELSEWHERE}") from None
            return adopted

    def _adopted(self) -> _Owned:
        """What an earlier fewbits made: it may be overwritten as it is now."""
        made = self.adopt(self.path) if self.path.is_dir() else Made()
        files = [self.path / name for name in made.written if (self.path / name).is_file()]
        return _Owned(made.kept, {file.name: frozenset({_sha256(file.read_bytes())}) for file in files})

    def _note(self, owned: _Owned) -> None:
        record = {
            "fewbits": _FORMAT,
            "kept": sorted(owned.kept),
            "written": {name: sorted(digests) for name, digests in sorted(owned.written.items())},
        }
        content = (json.dumps(record, indent=1) + "\n").encode()
        path = self.path / MANIFEST
        if path.is_file() and path.read_bytes() == content:
            return
        with self._writing(path):
            self._replace(path, content)

    def _replace(self, path: Path, content: bytes) -> None:
        """Under another name first, on disk before it takes its own: a crash leaves the old file or the new one."""
        partial = path.with_name(f".{path.name}.fewbits-partial")
        with suppress(FileNotFoundError):
            partial.unlink()  # of a writer that was killed
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One process at a time changes the manifest; the folder itself is what they lock."""
        with self._writing(self.path):
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _writing(self, path: Path) -> Generator[None]:
        """The system's errors in one line."""
        try:
            yield
        except OSError as error:
            what = f"into folder {str(path)!r}" if path == self.path else repr(str(path))
            raise self.error(
                f"cannot write {what}: {error.strerror or error}; make room or unlock it, or {_ELSEWHERE}"
            ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parsed(content: bytes) -> _Owned:
    """A manifest's content. Raises ValueError, TypeError, KeyError or AttributeError if it is none."""
    record = cast("dict[str, Any]", json.loads(content))
    if record["fewbits"] != _FORMAT:
        raise ValueError("another format")
    written = {name: frozenset(map(str, digests)) for name, digests in record["written"].items()}
    return _Owned(frozenset(map(str, record["kept"])), written)
