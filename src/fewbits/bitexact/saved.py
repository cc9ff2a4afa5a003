"""A bit-exact network in a file: tensors and JSON under a digest; whoever loads it computes the same, bit for bit."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fewbits.bitexact.field_values import Reader, Writer, givers_of
from fewbits.bitexact.soundness import check_network
from fewbits.errors import ModelError, StudyError
from fewbits.graph.operations import Operation
from fewbits.tensor_file import DamagedFileError, read_tensors, write_tensors

FORMAT = 1
"""Number of the form in which networks are written; others are refused. A field with a default that operations get
later needs no new number: where a file lacks it, the default holds."""

_CONTENT = "bit-exact network"

_STARTS = {
    b"PK\x03\x04": "a zip file, such as torch.save and numpy.savez write",
    b"\x80": "a pickle, which is never opened",
    b"\x93NUMPY": "an array of numpy",
    b"\x89HDF": "an HDF5 file",
}
"""How files of other kinds begin, and what they are."""


class _Network(Protocol):
    """What is saved: a class whose parameters are its attributes too."""

    @property
    def operations(self) -> tuple[Operation, ...]: ...

    @property
    def input_shape(self) -> tuple[int, ...]: ...


_N = TypeVar("_N", bound=_Network)


def save_network(network: _Network, path: str | Path) -> None:
    """Write a network; see `BitExactNetwork.save`."""
    writer = Writer()
    definition = {name: writer.value(getattr(network, name), name) for name in _parameters(type(network))}
    record = {
        "content": _CONTENT,
        "format": FORMAT,
        "network": definition,
        "givers": givers_of(definition),
    }
    _network(type(network), json.loads(json.dumps(record)), Reader(writer.tensors, {}))  # what is written can be read
    try:
        write_tensors(Path(path), writer.tensors, json.dumps(record))
    except StudyError as error:
        raise ModelError(str(error)) from None


def load_network(kind: type[_N], path: str | Path) -> _N:
    """The network of a class in a file that `save_network` wrote; see `bitexact.load`."""
    path = Path(path)
    try:
        if not path.is_file():
            raise ModelError(f"no file {str(path)!r}: give one that BitExactNetwork.save wrote")
        tensors, record = read_tensors(path, needs_digest=True)
    except DamagedFileError as error:
        raise ModelError(_other_kind(path, error)) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}") from None
    if record.get("content") != _CONTENT:
        raise ModelError(
            f"{str(path)!r} holds a trained network's weights, no bit-exact network: give a file that "
            "BitExactNetwork.save wrote"
        )
    if record.get("format") != FORMAT:
        raise ModelError(
            f"{str(path)!r} is in format {record.get('format')!r} of saved networks, this version reads {FORMAT}: load "
            "it with the version that wrote it"
        )
    try:
        return _network(kind, record, Reader(tensors, _givers(record)))
    except (ModelError, RecursionError) as error:
        raise ModelError(f"{str(path)!r} is no network that can be run: {error}") from None


def _network(kind: type[_N], record: dict[str, Any], reader: Reader) -> _N:
    """The network of a record. Raises ModelError if it is none."""
    values = record["network"] if isinstance(record.get("network"), dict) else {}
    needed = {name for name, one in _parameters(kind).items() if one.default is one.empty}
    if missing := needed - values.keys():
        raise ModelError(f"network has no {', '.join(sorted(missing))}")
    network = reader.call(kind, values, _parameters(kind), "network", prefix="")
    check_network(network.operations, network.input_shape)
    return network


def _parameters(kind: type[_Network]) -> dict[str, inspect.Parameter]:
    """What makes a network, by the names of its attributes."""
    return dict(inspect.signature(kind).parameters)


def _givers(record: dict[str, Any]) -> dict[str, str]:
    givers = record.get("givers")
    known = givers.items() if isinstance(givers, dict) else ()
    return {name: giver for name, giver in known if isinstance(name, str) and isinstance(giver, str)}


def _other_kind(path: Path, error: DamagedFileError) -> str:
    """What to say about a file that is not whole, or of another kind."""
    with path.open("rb") as file:
        start = file.read(8)
    kind = next((kind for beginning, kind in _STARTS.items() if start.startswith(beginning)), None)
    what = f"is {kind}" if kind else f"is damaged, or no file of tensors ({error})"
    return f"{str(path)!r} {what}: give a file that BitExactNetwork.save wrote"
