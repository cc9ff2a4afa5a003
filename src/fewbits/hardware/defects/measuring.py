"""One call that measures what defects cost in accuracy, what retraining gives back, and what a repair costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.defects.curve import Accuracies, DefectCurve, DefectRow
from fewbits.hardware.defects.memory import OVERFLOWN
from fewbits.hardware.defects.places import Place, place_of
from fewbits.hardware.defects.plan import DefectPlan
from fewbits.hardware.defects.repair import REPAIR_NOTE, repair_price

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
    from fewbits.quantization import KnownDefects, QuantizedModel

Progress = Callable[[int, int], None]
"""Told after each accuracy that was computed: how many are done, of how many."""


class Retrain(Protocol):
    """Trains a network that knows its defects; `fewbits.train.retraining_with_defects` makes one."""

    @property
    def images(self) -> Tensor:
        """Some training images, normalized, N first: what is known of faults by measuring is measured on them."""
        ...

    def __call__(self, known: KnownDefects, epochs: int, seed: int) -> QuantizedModel:
        """The trained network; it is lowered, and computed with the defects again."""
        ...


def measure_defects(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    plan: DefectPlan,
    *,
    retrain: Retrain | None = None,
    accelerator: Accelerator | None = None,
    netlist: CompiledNetlist | None = None,
    progress: Progress | None = None,
) -> DefectCurve:
    """Accuracy with the defects of a plan; after retraining, and after a repair with its price, where it asks for them.

    network: as `lower` gives it. images, labels: as for `BitExactNetwork.run`, and their classes (int64). retrain:
    needed where the plan has `retrain_epochs`; of the same quantized model. accelerator, netlist: the tile of stuck
    nets and its mapped neuron; None for DianNao's 16 x 16 and what comes with fewbits.
    Repair `dropped` with `retrain_epochs`: the network is trained with the disabled neurons, not with their defects.
    Raises HardwareError for no images, labels of another number, a plan with retraining without `retrain`, more faults
    than places, and what the plan's place cannot be computed of; DataError for images that the network does not take.
    """
    _check(images, labels, plan, retrain)
    place = place_of(network, plan, accelerator or Accelerator(), netlist)
    measuring = _Measuring(network, images, labels, plan, retrain, place, progress)
    exact_percent = measuring.accuracy(network.predict(images))
    rows = tuple(measuring.row(amount) for amount in plan.amounts)
    notes = (*place.notes, *((REPAIR_NOTE,) if plan.repair == "others" else ()), *measuring.notes)
    return DefectCurve(plan, network.precision.name, len(images), exact_percent, rows, tuple(dict.fromkeys(notes)))


@dataclass(eq=False)
class _Measuring:
    """One call at work."""

    network: BitExactNetwork
    images: Tensor
    labels: Tensor
    plan: DefectPlan
    retrain: Retrain | None
    place: Place
    progress: Progress | None
    notes: list[str] = field(default_factory=list[str])
    _done: int = 0

    def row(self, amount: float) -> DefectRow:
        """All draws of a count or rate."""
        seeds = range(self.plan.seed, self.plan.seed + self.plan.draws)
        defects = [self.place.drawn(amount, seed) for seed in seeds]
        faulty = [self._told(self.accuracy(one.predict(self.network, self.images))) for one in defects]
        retrained: list[float] = []
        repaired: list[float] = []
        if self.retrain is not None and self.plan.retrain_epochs is not None and self.plan.repair != "dropped":
            for seed, one in zip(seeds, defects, strict=True):
                trained = self._trained(self.retrain, one.known(self.retrain.images), seed)
                retrained.append(self._told(self.accuracy(one.predict(trained, self.images))))
        price = None
        if self.plan.repair is not None:
            for seed, one, percent in zip(seeds, defects, faulty, strict=True):
                network = self.network
                if self.retrain is not None and self.plan.retrain_epochs is not None and self.plan.repair == "dropped":
                    network = self._trained(self.retrain, one.dropped(), seed)
                classes = one.repaired(network, self.images, self.plan.repair)
                repaired.append(self._told(percent if classes is None else self.accuracy(classes)))
            disabled = [one.disabled for one in defects]
            price = repair_price(self.network, self.place.accelerator, disabled, self.plan.repair)
        return DefectRow(amount, Accuracies(tuple(faulty)), _accuracies(retrained), _accuracies(repaired), price)

    def accuracy(self, classes: Tensor) -> float:
        """Share of right images, in percent."""
        if bool((classes == OVERFLOWN).any()):
            self.notes.append("an image of which a result leaves float32, or is infinite, counts as wrong")
        return 100 * float((classes == self.labels.to(classes.device)).double().mean())

    def _trained(self, retrain: Retrain, known: KnownDefects, seed: int) -> BitExactNetwork:
        from fewbits.bitexact import lower

        assert self.plan.retrain_epochs is not None
        model = retrain(known, self.plan.retrain_epochs, seed)
        network = self.network
        example = self.images[:1].to("cpu")
        trained = lower(model, example, product_bits=network.product_bits, sum_order=network.sum_order)
        ours, theirs = (
            [(one.name, one.weight.shape, one.weight_format.name, one.input_format.name) for one in each.layers]
            for each in (network, trained)
        )
        if ours != theirs:
            raise HardwareError(
                "the retrained network has other layers, or formats, than the one that is measured: give `retrain` the "
                "quantized model that the network was lowered from"
            )
        return trained

    def _told(self, percent: float) -> float:
        plan = self.plan
        self._done += 1
        if self.progress is not None:
            retrains = plan.retrain_epochs is not None and plan.repair != "dropped"
            each = 1 + retrains + (plan.repair is not None)
            self.progress(self._done, len(plan.amounts) * plan.draws * each)
        return percent


def _accuracies(found: list[float]) -> Accuracies | None:
    return Accuracies(tuple(found)) if found else None


def _check(images: Tensor, labels: Tensor, plan: DefectPlan, retrain: Retrain | None) -> None:
    if len(images) == 0:
        raise HardwareError("no images were given: accuracy needs one at least")
    if labels.ndim != 1 or len(labels) != len(images):
        raise HardwareError(
            f"{len(images)} images take as many labels, in one dimension, not {' x '.join(map(str, labels.shape))}"
        )
    if plan.retrain_epochs is not None and retrain is None:
        raise HardwareError(
            "the plan retrains, and nothing to retrain with was given: give retrain, such as "
            "fewbits.train.retraining_with_defects(model, data), or leave out retrain_epochs"
        )
