"""What an export of any dataflow made, for who adds files that need more than the circuit: costs, activity, scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.mapping.synthesis import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork


@dataclass(frozen=True)
class Exported:
    """A circuit as texts of files, and what it was made of."""

    design: NeuronDesign
    accelerator: AnyAccelerator
    network: BitExactNetwork
    """That the bench runs."""

    image: Tensor
    """One, with the leading dimension of 1; normalized."""

    about: str
    """Network and image in words."""

    datapath: str
    """What the files of the datapath are called, and its words: `neuron`."""

    rtlil: str
    """Of the datapath: what a technology table's netlists are made from."""

    tops: Mapping[str, str]
    """The name of an SDC file by that of the module that it is of: the datapath's first, the accelerator's last."""

    sources: Mapping[str, tuple[str, ...]]
    """Verilog files of each of these modules, without memories."""

    kept: tuple[str, ...]
    """Modules that synthesis maps by themselves, once for all their instances: those of the datapath."""

    memories: str
    """Verilog file of the memories' wrappers."""

    ports: Mapping[str, str]
    """Ports of the datapath in Verilog, by their names in RTLIL, where these differ."""

    files: Mapping[str, str]
    """What each file is, for the README."""


HandOver = Callable[[Exported, Progress], Mapping[str, str]]
"""More texts by file name; a README is appended to the export's."""
