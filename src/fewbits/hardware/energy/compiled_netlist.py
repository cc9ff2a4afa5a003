"""Compiled netlists: a neuron's netlist with its energies in one small file, so that power needs no cell library.

The file is a zip of plain arrays and one JSON text; reading it runs nothing and allocates no more than it says within
the bounds here. All figures are derived for this netlist; functions and states of cells are truth tables.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.energy.clock_tree import ClockTree
from fewbits.hardware.energy.energy_model import CellBlock, CellKind, Condition, EnergyModel, Event, Function
from fewbits.hardware.process.technology import LOGIC_COMPONENTS, TABLES

FORMAT = 2
PIPELINING = "pipelining"
"""In the provenance of a neuron with another than the standard pipelining: its name."""

MAXIMUM_BYTES = 2**28
"""Of a file unpacked."""

MAXIMUM_PINS = 16
MAXIMUM_NETS = 2**24

MAXIMUM_DELAY_PS = 2**16 - 1
"""Longer delays are cut: no netlist with one meets any clock that power is asked for at."""

_SIGNIFICANT_BITS = 18
"""Of energies in the file: an error of at most 2**-18 in each, which sums of thousands average out."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member of the zip: equal contents make equal files."""


@dataclass(frozen=True, eq=False)
class CompiledNetlist:
    """One neuron of a precision."""

    precision: str
    model: EnergyModel
    """Cells are numbered block by block, nets by what drives them."""

    components: NDArray[np.uint8]
    """Position in `component_names` of each cell's, shape (cell_count,)."""

    clock_tree: ClockTree
    delays_ps: NDArray[np.int64]
    """Until a fall and a rise of each net, after an input of the gate that drives it or the clock's edge; 0 for ports;
    shape (net_count, 2)."""

    provenance: dict[str, str]
    """What made it, from what, with which versions and hashes."""

    component_names: tuple[str, ...] = LOGIC_COMPONENTS
    """Those that the datapath declares."""

    def save(self, path: Path) -> None:
        """Write the file: to a temporary name beside `path`, then renamed. Raises HardwareError if that fails."""
        temporary = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(_packed(self))
            temporary.replace(path)
        except OSError as error:
            raise HardwareError(f"cannot write the compiled netlist {path}: {error.strerror}") from None


def compiled_netlist(
    precision: str,
    model: EnergyModel,
    components: NDArray[np.uint8],
    clock_tree: ClockTree,
    delays_ns: NDArray[np.float64],
    provenance: dict[str, str],
    component_names: tuple[str, ...] = LOGIC_COMPONENTS,
) -> CompiledNetlist:
    """Renumber a model's cells and nets, and round its energies and delays, as they are in a file.

    components: by the model's cell numbers, positions in component_names. delays_ns: by its net numbers, as
    `timing.mean_delays_ns` gives them.
    """
    order = np.concatenate([block.cells for block in model.blocks])
    number = _net_numbers(model)
    blocks: list[CellBlock] = []
    first = 0
    for block in model.blocks:
        cells = np.arange(first, first + len(block.cells))
        nets = np.where(block.nets >= 0, number[np.maximum(block.nets, 0)], -1)
        blocks.append(CellBlock(block.kind, cells, nets, _rounded(block.energies_pj)))
        first += len(cells)
    net_pj = np.zeros(model.net_count)
    net_pj[number] = _rounded(model.net_pj)
    renumbered = EnergyModel(
        name=model.name,
        net_count=model.net_count,
        cell_count=model.cell_count,
        blocks=tuple(blocks),
        net_pj=net_pj,
        clock_nets=np.sort(number[model.clock_nets]),
        ports={name: (direction, number[nets]) for name, (direction, nets) in model.ports.items()},
    )
    delays_ps = np.zeros((model.net_count, 2), np.int64)
    delays_ps[number] = np.clip(np.rint(1000 * delays_ns), 0, MAXIMUM_DELAY_PS)
    return CompiledNetlist(precision, renumbered, components[order], clock_tree, delays_ps, provenance, component_names)


def _net_numbers(model: EnergyModel) -> NDArray[np.int64]:
    """New number of each net: constants, then the ports' in order, then the cells' outputs."""
    nets = [np.array([0, 1])]
    nets += [nets_ for direction, nets_ in model.ports.values() if direction == "input"]
    for block in model.blocks:
        nets += [block.nets[:, function.output] for function in block.kind.functions]
    nets.append(np.arange(model.net_count))
    old = np.concatenate(nets)
    old = old[old >= 0]
    _, position = np.unique(old, return_index=True)
    number = np.zeros(model.net_count, dtype=np.int64)
    number[old[np.sort(position)]] = np.arange(model.net_count)
    return number


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**_SIGNIFICANT_BITS), exponent - _SIGNIFICANT_BITS)


def _packed(netlist: CompiledNetlist) -> bytes:
    model = netlist.model
    about = {
        "format": FORMAT,
        "precision": netlist.precision,
        "name": model.name,
        "net_count": model.net_count,
        "clock_tree": {"buffers": netlist.clock_tree.buffers, "energy_pj": netlist.clock_tree.energy_pj},
        "provenance": netlist.provenance,
        "components": list(netlist.component_names),
        "ports": [[name, direction, len(nets)] for name, (direction, nets) in model.ports.items()],
        "blocks": [[len(block.cells), _kind_json(block.kind)] for block in model.blocks],
    }
    arrays = {
        "nets": np.concatenate([block.nets.T.ravel() for block in model.blocks]).astype("<i4"),
        "energies_pj": np.concatenate([block.energies_pj.T.ravel() for block in model.blocks]).astype("<f4"),
        "net_pj": model.net_pj.astype("<f4"),
        "port_nets": np.concatenate([nets for _, nets in model.ports.values()]).astype("<i4"),
        "clock_nets": model.clock_nets.astype("<i4"),
        "components": netlist.components,
        "delays_ps": netlist.delays_ps.T.ravel().astype("<u2"),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        text = json.dumps(about, separators=(",", ":"), sort_keys=True).encode()
        for name, content in [("about.json", text), *((f"{k}.npy", _npy(v)) for k, v in arrays.items())]:
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_LZMA
            archive.writestr(info, content)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _kind_json(kind: CellKind) -> dict[str, Any]:
    """A kind as JSON: truth tables in hexadecimal, conditions as [pins, table]."""
    return {
        "name": kind.name,
        "pins": list(kind.pins),
        "functions": [
            [f.output, list(f.inputs), f"{f.table:x}", f.is_register, f.shows_inverse] for f in kind.functions
        ],
        "events": [[e.pin, e.output, *_condition_json(e.condition)] for e in kind.events],
        "leakage_states": [[*_condition_json(condition), uw] for condition, uw in kind.leakage_states],
        "leakage_uw": kind.leakage_uw,
        "data_and_states": kind.data_and_states,
    }


def _condition_json(condition: Condition) -> list[Any]:
    return [list(condition.pins), f"{condition.table:x}"]


def read_compiled_netlist(path: Path) -> CompiledNetlist:
    """Read a file that `CompiledNetlist.save` wrote.

    Raises HardwareError for a file that is missing, too large, damaged, or holds anything inconsistent.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAXIMUM_BYTES:
                raise HardwareError(f"{path}: a compiled netlist of over {MAXIMUM_BYTES} bytes is not read")
            about = cast("dict[str, Any]", json.loads(archive.read("about.json")))
            arrays = {
                name: np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
                for name in ("nets", "energies_pj", "net_pj", "port_nets", "clock_nets", "components", "delays_ps")
            }
        return _unpacked(about, arrays)
    except OSError as error:
        raise HardwareError(f"cannot read the compiled netlist {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise HardwareError(
            f"{path}: no compiled netlist ({type(error).__name__}: {error}): make it with fewbits characterize"
        ) from None
    except Exception as error:  # the decompressors' own classes (zlib.error, LZMAError) have no common base
        raise HardwareError(
            f"{path}: a damaged compiled netlist ({error}): make it with fewbits characterize"
        ) from None


def _unpacked(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CompiledNetlist:
    names = tuple(str(name) for name in about["components"])
    if about["format"] != FORMAT or not set(names) >= set(LOGIC_COMPONENTS):
        raise ValueError("made by another version")
    net_count = int(about["net_count"])
    _require(0 < net_count <= MAXIMUM_NETS and arrays["net_pj"].shape == (net_count,), "its nets")
    nets, energies = arrays["nets"].astype(np.int64), arrays["energies_pj"].astype(np.float64)
    _require(nets.ndim == 1 and int(nets.min(initial=0)) >= -1 and int(nets.max(initial=0)) < net_count, "nets at pins")
    _require(bool(np.isfinite(energies).all() and np.isfinite(arrays["net_pj"]).all()), "energies")
    blocks: list[CellBlock] = []
    cell, at_net, at_energy = 0, 0, 0
    for size, raw in about["blocks"]:
        count = int(size)
        kind = _kind(raw)
        pins, events = len(kind.pins), len(kind.events)
        own_nets = nets[at_net : at_net + count * pins].reshape(pins, count).T.copy()
        own_energies = energies[at_energy : at_energy + count * events].reshape(events, count).T.copy()
        blocks.append(CellBlock(kind, np.arange(cell, cell + count), own_nets, own_energies))
        cell, at_net, at_energy = cell + count, at_net + count * pins, at_energy + count * events
    _require(at_net == len(nets) and at_energy == len(energies), "sizes")
    components = arrays["components"].astype(np.uint8)
    _require(components.shape == (cell,) and int(components.max(initial=0)) < len(names), "components")
    port_nets, clock_nets = (arrays[name].astype(np.int64) for name in ("port_nets", "clock_nets"))
    for some in (port_nets, clock_nets):
        _require(some.ndim == 1 and int(some.min(initial=0)) >= 0 and int(some.max(initial=0)) < net_count, "its ports")
    ports: dict[str, tuple[str, NDArray[np.int64]]] = {}
    start = 0
    for name, direction, width in about["ports"]:
        ports[str(name)] = (str(direction), port_nets[start : start + width])
        start += width
    _require(start == len(port_nets), "its ports")
    tree = ClockTree(int(about["clock_tree"]["buffers"]), float(about["clock_tree"]["energy_pj"]))
    model = EnergyModel(
        str(about["name"]), net_count, cell, tuple(blocks), arrays["net_pj"].astype(np.float64), clock_nets, ports
    )
    delays_ps = arrays["delays_ps"].astype(np.int64)
    _require(delays_ps.shape == (2 * net_count,) and int(delays_ps.min()) >= 0, "delays")
    _require(int(delays_ps.max()) <= MAXIMUM_DELAY_PS, "delays")
    provenance = {str(key): str(value) for key, value in about["provenance"].items()}
    precision = str(about["precision"])
    return CompiledNetlist(precision, model, components, tree, delays_ps.reshape(2, -1).T.copy(), provenance, names)


def _kind(raw: dict[str, Any]) -> CellKind:
    pins = tuple(str(pin) for pin in raw["pins"])
    _require(0 < len(pins) <= MAXIMUM_PINS, "pins")

    def pin(value: Any) -> int:
        _require(isinstance(value, int) and 0 <= value < len(pins), "pins")
        return int(value)

    def condition(where: Any, table: Any) -> Condition:
        positions = tuple(pin(value) for value in where)
        number = int(table, 16)
        _require(len(set(positions)) == len(positions) and 0 <= number < 1 << (1 << len(positions)), "states")
        return Condition(positions, number)

    functions: list[Function] = []
    for output, inputs, table, is_register, inverse in raw["functions"]:
        states = condition(inputs, table)
        functions.append(Function(pin(output), states.pins, states.table, bool(is_register), bool(inverse)))
    stored = raw["data_and_states"]
    return CellKind(
        name=str(raw["name"]),
        pins=pins,
        functions=tuple(functions),
        events=tuple(
            Event(pin(at), None if output is None else pin(output), condition(where, table))
            for at, output, where, table in raw["events"]
        ),
        leakage_states=tuple((condition(where, table), float(uw)) for where, table, uw in raw["leakage_states"]),
        leakage_uw=float(raw["leakage_uw"]),
        data_and_states=None if stored is None else (int(stored[0]), tuple((pin(p), bool(i)) for p, i in stored[1])),
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} do not fit")


def compiled_netlist_path(table: Path | str, precision: str) -> Path:
    """Where the compiled netlist of a precision lies for a technology table: a folder of the table's name beside it.

    table: a table's file, or the name of a shipped one.
    """
    path = Path(table)
    shipped = TABLES / f"{table}.json"
    base = shipped if shipped.exists() else path
    return base.with_suffix("") / f"{re.sub(r'[/:]', '_', precision)}.netlist"
