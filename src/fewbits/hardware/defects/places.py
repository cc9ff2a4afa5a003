"""The places where defects lie: what is drawn there, what the network then computes, what a training can know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.defects.defective_network import DefectiveNetwork
from fewbits.hardware.defects.faults import FaultSites, StuckAt, draw_faults, fault_sites
from fewbits.hardware.defects.known_faults import known_faults
from fewbits.hardware.defects.memory import FaultyInputs, predicted, with_held_bits, wrong_cells
from fewbits.hardware.defects.plan import DefectPlan
from fewbits.hardware.defects.repair import DroppedNeurons, dropped_neurons

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
    from fewbits.quantization import HeldBits, KnownDefects


class Defects(ABC):
    """The defects of one draw."""

    disabled: int = 0
    """Neurons with a defect."""

    @abstractmethod
    def predict(self, network: BitExactNetwork, images: Tensor) -> Tensor:
        """Class of each image with the defects."""

    @abstractmethod
    def known(self, images: Tensor) -> KnownDefects:
        """What a training can know of them; images: training images."""

    def dropped(self) -> KnownDefects:
        """What a training can know once the defective neurons are disabled and their outputs zero."""
        raise HardwareError("only neurons are disabled")

    def repaired(self, network: BitExactNetwork, images: Tensor, repair: str) -> Tensor | None:
        """Class of each image after the repair; None where no neuron is left for it."""
        raise HardwareError("only neurons are disabled")


class Place(ABC):
    """Where defects lie in one network's hardware."""

    accelerator: Accelerator
    notes: list[str]
    """What was assumed, and what could not be known."""

    @abstractmethod
    def drawn(self, amount: float, seed: int) -> Defects:
        """Some defects; equal seeds, equal defects, and those of a smaller amount are among those of a larger one."""


@dataclass(eq=False)
class _StuckNets(Defects):
    place: _Neurons
    faults: tuple[StuckAt, ...]

    def __post_init__(self) -> None:
        self._neurons = frozenset(fault.neuron for fault in self.faults)
        self.disabled = len(self._neurons)

    def _on(self, network: BitExactNetwork) -> DefectiveNetwork:
        return DefectiveNetwork(network, self.faults, self.place.netlist, self.place.accelerator)

    def predict(self, network: BitExactNetwork, images: Tensor) -> Tensor:
        return self._on(network).predict(images) if self.faults else network.predict(images)

    def known(self, images: Tensor) -> KnownDefects:
        known, by_tables = known_faults(self._on(self.place.network), images)
        self.place.count_known(by_tables, self.disabled)
        return known

    def dropped(self) -> KnownDefects:
        return dropped_neurons(self.place.network, self._neurons, self.place.accelerator)

    def repaired(self, network: BitExactNetwork, images: Tensor, repair: str) -> Tensor | None:
        accelerator = self.place.accelerator
        if repair == "others":
            return None if self.disabled == accelerator.neurons else network.predict(images)
        return DroppedNeurons(network, self._neurons, accelerator).predict(images)


class _Neurons(Place):
    """Stuck nets of the tile's mapped neurons."""

    def __init__(
        self, network: BitExactNetwork, plan: DefectPlan, accelerator: Accelerator, netlist: CompiledNetlist | None
    ) -> None:
        self.network, self.accelerator = network, accelerator
        self.netlist = DefectiveNetwork(network, (), netlist, accelerator).netlist
        self._sites: FaultSites = fault_sites(self.netlist, plan.where)
        self._known, self._defective = 0, 0
        draw_faults(self._sites, int(max(plan.counts)), accelerator.neurons, np.random.default_rng(0))  # refuses more

    def drawn(self, amount: float, seed: int) -> Defects:
        generator = np.random.default_rng(seed)
        return _StuckNets(self, draw_faults(self._sites, int(amount), self.accelerator.neurons, generator))

    def count_known(self, by_tables: int, defective: int) -> None:
        """Add to what the note tells."""
        self._known += by_tables
        self._defective += defective

    @property
    def notes(self) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How the training knew the faults."""
        if not self._defective:
            return []
        return [
            f"retraining: of {self._defective} defective neurons {self._known} are known exactly, by the products of "
            "their multipliers; of the others a straight line an output, from right to faulty results, fitted on "
            "training images"
        ]


@dataclass(eq=False)
class _WrongWeights(Defects):
    held: Mapping[str, HeldBits]

    def predict(self, network: BitExactNetwork, images: Tensor) -> Tensor:
        return predicted(with_held_bits(network, self.held).predict, images)

    def known(self, images: Tensor) -> KnownDefects:
        from fewbits.quantization import KnownDefects

        return KnownDefects(held=self.held)


class _Weights(Place):
    """Wrong bits of the weights' memory."""

    def __init__(
        self, network: BitExactNetwork, plan: DefectPlan, accelerator: Accelerator, netlist: CompiledNetlist | None
    ) -> None:
        self._network, self.accelerator = network, accelerator
        self.notes = ["a wrong cell of the weights' memory is read inverted, for all images of a draw"]
        if plan.retrain_epochs is not None:
            self.notes.append("retraining: a wrong cell holds the bit that it was read as, whatever is written to it")
        wrong_cells(network, 0.0)  # refuses what it cannot be drawn of

    def drawn(self, amount: float, seed: int) -> Defects:
        return _WrongWeights(wrong_cells(self._network, amount, seed))


@dataclass(eq=False)
class _WrongInputs(Defects):
    rate: float
    seed: int

    def predict(self, network: BitExactNetwork, images: Tensor) -> Tensor:
        return predicted(FaultyInputs(network, self.rate, self.seed).predict, images)

    def known(self, images: Tensor) -> KnownDefects:
        raise HardwareError("retraining knows no defects of the inputs-memory")  # the plan refuses it first


class _Inputs(Place):
    """Wrong bits of the memory of inputs."""

    def __init__(
        self, network: BitExactNetwork, plan: DefectPlan, accelerator: Accelerator, netlist: CompiledNetlist | None
    ) -> None:
        self.accelerator = accelerator
        self.notes = [
            "every tensor that a layer reads lies in memory cells of its own, the images too; a wrong one is read "
            "inverted, for all images of a draw"
        ]

    def drawn(self, amount: float, seed: int) -> Defects:
        return _WrongInputs(amount, seed)


_Maker = Callable[["BitExactNetwork", DefectPlan, Accelerator, "CompiledNetlist | None"], Place]

_MAKERS: Mapping[str, _Maker] = {
    "neuron": _Neurons,
    "datapath": _Neurons,
    "registers": _Neurons,
    "weights-memory": _Weights,
    "inputs-memory": _Inputs,
}
"""By the names of `plan.PLACES`."""


def place_of(
    network: BitExactNetwork, plan: DefectPlan, accelerator: Accelerator, netlist: CompiledNetlist | None
) -> Place:
    """The plan's place. Raises HardwareError for what cannot be computed there, or has fewer places than faults."""
    return _MAKERS[plan.where](network, plan, accelerator, netlist)
