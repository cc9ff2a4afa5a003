"""The folder of an export: written whole, over nothing but an earlier export that is as fewbits wrote it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewbits.errors import HardwareError

MANIFEST = "fewbits-rtl.json"
"""Holds the names of the files that an export wrote, each with its SHA-256."""


class ExportFolder:
    """Where files go. Raises HardwareError if nothing can be written there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._writing():
            nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
            with tempfile.TemporaryDirectory(prefix=".fewbits-rtl-", dir=nearest):
                pass
        if path.exists():
            self._check_owner({"README.md": "", "neuron.v": ""})

    def write(self, texts: Mapping[str, str]) -> tuple[Path, ...]:
        """Write these files and the manifest, and remove what else an earlier export wrote; returns all paths.

        They are written aside and moved to their places. Raises HardwareError, and changes nothing, if a file of one of
        these names is not as an earlier export wrote it.
        """
        digests = {name: _digest(text.encode()) for name, text in texts.items()}
        manifest = json.dumps({"made_by": "fewbits rtl", "sha256": digests}, indent=1) + "\n"
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            earlier = self._check_owner(texts)
            with tempfile.TemporaryDirectory(prefix=".fewbits-rtl-", dir=self.path) as aside:
                for name, text in (*texts.items(), (MANIFEST, manifest)):
                    (Path(aside) / name).write_text(text, encoding="utf-8")
                for name in (*texts, MANIFEST):
                    (Path(aside) / name).replace(self.path / name)
            for name in earlier - texts.keys():
                (self.path / name).unlink()
        return tuple(self.path / name for name in (*texts, MANIFEST))

    def _check_owner(self, texts: Mapping[str, str]) -> set[str]:
        """Names of an earlier export's files that are as it wrote them.

        Raises HardwareError if another file has one of the names of `texts`.
        """
        written = self._manifest()
        unchanged = {
            name
            for name, digest in written.items()
            if (self.path / name).is_file() and _digest((self.path / name).read_bytes()) == digest
        }
        for name in (*texts, *(() if written else (MANIFEST,))):
            path = self.path / name
            if name not in unchanged and (path.exists() or path.is_symlink()):
                raise HardwareError(
                    f"{self.path} holds a {name} that fewbits did not write, or that was changed since: choose another "
                    "folder with --out, or move the file away"
                )
        return unchanged

    def _manifest(self) -> dict[str, str]:
        try:
            held: Any = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            digests: dict[Any, Any] = held["sha256"]
            return {
                name: digest
                for name, digest in digests.items()
                if isinstance(name, str) and isinstance(digest, str) and Path(name).name == name
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Say which folder could not be written to."""
        try:
            yield
        except OSError as error:
            raise HardwareError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder with --out"
            ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
