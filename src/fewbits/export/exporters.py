"""What a bit-exact network can be written as: fewbits' own forms and those of installed extensions; loads no torch."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.arguments import shown
from fewbits.errors import FewbitsError, ModelError
from fewbits.extensions import Registry, giver_of

if TYPE_CHECKING:
    from fewbits.bitexact import BitExactNetwork


@dataclass(frozen=True)
class Exporter:
    """A form of files."""

    summary: str
    """What it writes, and the standard that says how."""

    write: Callable[[BitExactNetwork, Path], None]
    """Writes one file at the path, whose name is the one that the user gave. Raises ModelError, naming the operation,
    for a network that has no such form."""

    takes_products: bool = False
    """Whether the file holds product tables (docs/approximate.md); else any but exact products are refused."""


def _save(network: BitExactNetwork, path: Path) -> None:
    network.save(path)


_OWN: dict[str, Exporter] = {"fewbits": Exporter("the network as fewbits.load reads it", _save, takes_products=True)}

EXPORTERS: Mapping[str, Exporter] = Registry("exporters", _OWN, Exporter)
"""By name: fewbits' own, and those of installed extensions."""


def export_network(network: BitExactNetwork, to: str, path: str | Path) -> Path:
    """Write a network in the form of that name; whole, or the path stays as it was. Returns the path.

    Raises ModelError for an unknown form, for a network that has no such form or has products that it does not hold,
    and if the file cannot be written.
    """
    if to not in EXPORTERS:
        nearest = difflib.get_close_matches(to, EXPORTERS, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ModelError(f"unknown exporter {shown(to)}: give one of {', '.join(EXPORTERS)}{hint}")
    exporter, path = EXPORTERS[to], Path(path)
    if not exporter.takes_products:
        _check_exact(network, to)
    try:
        if path.is_symlink() or path.is_dir() or not path.name:
            raise ModelError(f"{str(path)!r} is a folder or a link: give the name of a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fewbits-", dir=path.parent) as folder:
            written = Path(folder) / path.name
            _write(exporter, to, network, written)
            written.replace(path)
    except OSError as error:
        raise ModelError(
            f"cannot write {str(path)!r}: {error.strerror or error}; make room or give another name"
        ) from None
    return path


def _check_exact(network: BitExactNetwork, to: str) -> None:
    """Raise ModelError, naming the layer, for products that a file of exact ones would not compute."""
    for layer in network.layers:
        if layer.products is not None and not layer.products.is_exact:
            raise ModelError(
                f"layer {layer.name!r} computes with the products {layer.products.name!r}, which exporter {to!r} does "
                "not write: the file would compute others; export the network with exact products "
                "(network.with_products), or to 'fewbits'"
            )


def _write(exporter: Exporter, to: str, network: BitExactNetwork, path: Path) -> None:
    by = f"exporter {to!r} of {giver_of('exporters', to) or 'fewbits'}"
    try:
        exporter.write(network, path)
    except (FewbitsError, OSError):
        raise
    except Exception as error:  # whatever a stranger's code raises
        raise ModelError(f"{by} failed: {' '.join(f'{type(error).__name__}: {error}'.split())}") from error
    if not path.is_file():
        raise ModelError(f"{by} wrote no file {path.name!r}")
