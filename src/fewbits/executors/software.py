"""What a worker computes with: versions and sources, which must be the parent's, and the processor."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import fewbits
from fewbits.extensions import Kind, found

_COMPUTING = ("torch", "numpy", "numba")
"""Packages whose versions decide digits, besides Python and fewbits; as a study's store names them."""

_ABSENT = "not installed"

_SHOWN_DIGITS = 8
"""Of a hash, in messages."""


@dataclass(frozen=True)
class Software:
    """What a process runs, as far as results depend on it."""

    versions: Mapping[str, str]
    """By package, Python among them; and of fewbits with the hash of its sources."""

    processor: str
    """Model of the processor and the instructions that torch uses on it."""


def software() -> Software:
    """Of this process; can be called on a worker. Loads torch."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return Software(_versions(), f"{_processor_model()}, {capability}")


def refusal(worker: str, here: Software, there: Software) -> str | None:
    """Why a worker may do no jobs, in one line: each package that differs, with both versions. None if it may.

    worker: its name, for the message.
    """
    differences = [
        f"{name} {there.versions.get(name, _ABSENT)} there, {here.versions.get(name, _ABSENT)} here"
        for name in sorted({*here.versions, *there.versions})
        if here.versions.get(name) != there.versions.get(name)
    ]
    if not differences:
        return None
    return f"worker {worker} is refused: {'; '.join(differences)}: install the same on both"


def processors_note(here: Software, others: Iterable[Software]) -> str | None:
    """A line if processors are of more than one kind: digits are promised for one kind alone. None if they are not."""
    kinds = sorted({one.processor for one in others} - {here.processor})
    if not kinds:
        return None
    return (
        f"workers have other processors ({'; '.join(kinds)}) than this one ({here.processor}): figures may differ in "
        "their last digits from those of one kind"
    )


def _versions() -> dict[str, str]:
    givers = {extension.giver for kind in get_args(Kind) for extension in found(kind).values()}
    extensions = dict(giver.rsplit(" ", 1) for giver in givers if " " in giver)
    return {
        **extensions,
        **{name: _version(name) for name in _COMPUTING},
        "python": platform.python_version(),
        "fewbits": f"{fewbits.__version__} (sources {sources_sha256()[:_SHOWN_DIGITS]})",
    }


@cache
def sources_sha256() -> str:
    """Hash of fewbits' files as they are installed: names and contents, tables and presets among them."""
    folder = Path(fewbits.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _ABSENT


def _processor_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
