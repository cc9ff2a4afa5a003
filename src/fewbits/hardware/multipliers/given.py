"""Multipliers that a user gives: circuits read from Verilog, kept by the hash of what was read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.multipliers.gate_circuit import CircuitPort, Gate, GateCircuit, check_nets
from fewbits.hardware.multipliers.kinds import MultiplierKind, refused_operands
from fewbits.hardware.multipliers.verilog_reader import LARGEST_FILE, SUFFIXES, circuit_of, read_text

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.formats import Precision, ProductTable

HASH_DIGITS = 8
"""Of the hash of what was read, in the circuit's name."""

_FORMAT = 1
"""Of the kept files: another one is read anew."""

_LARGEST_KEPT = 4 * LARGEST_FILE

_NAME = re.compile(rf"\w+-([0-9a-f]{{{HASH_DIGITS}}})")


@dataclass(frozen=True, eq=False)
class GivenCircuit(MultiplierKind):
    """A multiplier of a user's: its first input takes the weight, its second the input, both two's complement."""

    name: str
    words: str
    circuit: GateCircuit
    _tables: dict[str, ProductTable] = field(default_factory=dict[str, "ProductTable"])

    is_one_row = True
    is_exact = False

    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """Its gates, extended by the output's sign; registers behind them."""
        from fewbits.hardware.multipliers.circuits.gates import gate_rows  # loads Amaranth: late

        return gate_rows(m, self.circuit, multiplier, multiplicand, width, registers)

    def table(self, precision: Precision) -> ProductTable:
        """All its products, simulated; its inputs have the precision's widths."""
        from fewbits.formats import ProductTable

        if precision.name not in self._tables:
            products = _signed(self.circuit.outputs, self.circuit.widths[2])
            self._tables[precision.name] = ProductTable(self.name, precision.weights, precision.inputs, products)
        return self._tables[precision.name]

    def refusal(self, precision: Precision) -> str | None:
        """Other formats or widths, products beyond their width, an unsigned multiplier."""
        if (refused := refused_operands(self.name, precision)) is not None:
            return refused
        weights, inputs = precision.weights.bits, precision.inputs.bits
        first, second, output = self.circuit.widths
        if (first, second) != (weights, inputs):
            a, b = self.circuit.inputs
            return (
                f"{self.circuit.name} has inputs {a.name} of {first} bits and {b.name} of {second}: a multiplier of "
                f"{precision.name} has one of {weights} bits for the weight, and then one of {inputs} for the input"
            )
        if output > 31:
            return f"{self.circuit.name} has an output of {output} bits: products of 8 bits have 16, give at most 31"
        unsigned, signed = self.circuit.outputs, _signed(self.circuit.outputs, output)
        codes = np.arange(1 << weights), np.arange(1 << inputs)
        numbers = _signed(codes[0], weights), _signed(codes[1], inputs)
        errors = [
            float(np.abs(found - np.multiply.outer(*read)).mean())
            for found, read in ((unsigned, codes), (signed, numbers))
        ]
        if errors[0] < errors[1]:
            return (
                f"{self.circuit.name} multiplies unsigned numbers (mean error {errors[0]:.4g} read so, {errors[1]:.4g} "
                f"as two's complement): {precision.name} needs a signed multiplier"
            )
        low, high = int(signed.min()), int(signed.max())
        limit = 1 << (weights + inputs - 1)
        if not -limit <= low <= high < limit:
            return (
                f"products of {self.circuit.name} are from {low} to {high}, beyond the {weights + inputs} bits of a "
                f"product of {precision.name}"
            )
        return None


def _signed(numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Unsigned numbers of some bits as two's complement."""
    return numbers - ((numbers >> (bits - 1)) << bits)


def given_circuit(text: str) -> GivenCircuit | None:
    """The circuit that a user means: a file, `FILE.v:MODULE`, or the name of one that was read before on this machine.

    None where the text names neither. Raises HardwareError for a file that cannot be used.
    """
    path, top = text, None
    if (found := re.fullmatch(r"(.*\.s?v):([^:/]*)", text)) is not None:
        path, top = found[1], found[2]
    if Path(path).suffix.lower() in SUFFIXES:
        return _read(Path(path), top)
    if (named := _NAME.fullmatch(text)) is not None:
        return _kept_by_name(text, named[1])
    return None


def _read(path: Path, top: str | None) -> GivenCircuit:
    text = read_text(path)
    try:
        return circuit_from(text, top, system_verilog=path.suffix.lower() == ".sv")
    except HardwareError as error:
        raise HardwareError(f"{path}: {error}") from None


def circuit_from(text: str, top: str | None = None, *, system_verilog: bool = False) -> GivenCircuit:
    """A multiplier from Verilog. Raises HardwareError, one line, for what is no combinational circuit."""
    parts = (str(_FORMAT), str(system_verilog), repr(top), text)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return _from_text(digest, lambda: circuit_of(text, top, system_verilog=system_verilog))


_known: dict[str, GivenCircuit] = {}


def _from_text(digest: str, read: Callable[[], GateCircuit]) -> GivenCircuit:
    if digest not in _known:
        circuit = _kept(_folder() / f"{digest}.json")
        if circuit is None:
            circuit = read()
            _keep(circuit, digest)
        _known[digest] = GivenCircuit(f"{circuit.name}-{digest[:HASH_DIGITS]}", f"circuit {circuit.name}", circuit)
    return _known[digest]


def _kept_by_name(name: str, digits: str) -> GivenCircuit:
    for circuit in _known.values():
        if circuit.name == name:
            return circuit
    with contextlib.suppress(OSError):
        for path in sorted(_folder().glob(f"{digits}*.json")):
            circuit = _kept(path)
            if circuit is not None and f"{circuit.name}-{digits}" == name:
                return _from_text(path.stem, lambda found=circuit: found)
    raise HardwareError(f"multiplier {shown(name)} was not read on this machine yet: give its Verilog file")


def _folder() -> Path:
    """Of fewbits' cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewbits" / "multipliers"


def _keep(circuit: GateCircuit, digest: str) -> None:
    """Write a circuit to the cache; where that cannot be written, the file is read again next time."""
    folder = _folder()
    kept: dict[str, Any] = {
        "format": _FORMAT,
        "name": circuit.name,
        "inputs": [[port.name, list(port.nets)] for port in circuit.inputs],
        "output": [circuit.output.name, list(circuit.output.nets)],
        "gates": [[gate.kind, list(gate.inputs), gate.output] for gate in circuit.gates],
        "nets": circuit.net_count,
    }
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(kept, file)
        Path(file.name).replace(folder / f"{digest}.json")


def _kept(path: Path) -> GateCircuit | None:
    """A circuit of the cache; None where there is none, or what is there is not as it was written."""
    try:
        if path.stat().st_size > _LARGEST_KEPT:
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] != _FORMAT or not re.fullmatch(r"\w+", kept["name"]):
            return None
        ports = [(str(name), tuple(map(int, nets))) for name, nets in (*kept["inputs"], kept["output"])]
        first, second, output = (CircuitPort(*port) for port in ports)
        gates = tuple(Gate(str(kind), tuple(map(int, inputs)), int(net)) for kind, inputs, net in kept["gates"])
        circuit = GateCircuit(kept["name"], (first, second), output, gates, int(kept["nets"]))
        check_nets(circuit)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, HardwareError):
        return None
    return circuit
