"""Defects in a study: what its table asks for, and how a run's network is measured, amount by amount, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fewbits.errors import HardwareError
from fewbits.hardware import Accelerator
from fewbits.hardware.defects import DefectCurve, DefectPlan, ErrorRates, measure_defects
from fewbits.study.defect_record import DefectRecord, defect_record
from fewbits.study.digest import json_sha256
from fewbits.study.events import Measured
from fewbits.study.networks import defects_path
from fewbits.tensor_file import DamagedFileError, read_tensors, write_tensors
from fewbits.train import retraining_with_defects

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.data import Dataset
    from fewbits.hardware import AnyAccelerator
    from fewbits.quantization import QuantizedModel
    from fewbits.study.sections import DefectsSection
    from fewbits.study.tasks import Run
    from fewbits.train import TrainSettings

SHIPPED = "ihp-sg13g2"
"""The technology whose mapped neurons come with fewbits."""

FORMAT = 1
"""Goes up when the same plan would give other figures of the same network."""


@dataclass(frozen=True)
class DefectTask:
    """What each network of a study is measured with."""

    plan: DefectPlan
    images: int | None = None
    """Of the test split, evenly spaced; None for all."""

    error_rates: ErrorRates | None = None
    """Where the plan's rates are those of supply voltages."""

    settings: TrainSettings | None = None
    """Of retraining, but for its epochs; None where nothing is retrained."""

    def definition(self) -> dict[str, Any]:
        """What defines the figures, as JSON takes it."""
        given = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.plan).items()
            if value not in (None, ())
        }
        images = {} if self.images is None else {"images": self.images}
        settings = {} if self.settings is None else {"settings": self.settings.definition()}
        points = [] if self.error_rates is None else [list(point) for point in self.error_rates.points]
        voltages = {"voltages": points, "source": self.error_rates.source} if self.error_rates is not None else {}
        return {"format": FORMAT, **given, **images, **settings, **voltages}

    @property
    def words(self) -> str:
        """What is measured of a network."""
        plan = self.plan
        retrained = f", retrained for {plan.retrain_epochs} epochs" if plan.retrain_epochs is not None else ""
        repaired = f", repaired by {plan.repair!r}" if plan.repair is not None else ""
        return f"{plan.where}, {len(plan.amounts)} {plan.kind} x {plan.draws} draws{retrained}{repaired}"

    def tile_of(self, machine: AnyAccelerator) -> Accelerator | None:
        """The tile whose neurons have stuck nets; None for memories, whose bits are those of any machine.

        Raises HardwareError for a machine whose neurons are not simulated.
        """
        if self.plan.kind == "rates":
            return None
        if not isinstance(machine, Accelerator):
            raise HardwareError(
                f"defects in {self.plan.where} are those of DianNao's neurons, which a machine of {machine.dataflow!r} "
                "does not have: give a preset such as 'diannao-16x16', or a memory as the place"
            )
        return machine

    @property
    def without_any(self) -> DefectPlan:
        """The plan with no defect at all, two draws: it computes what the plan does, and nothing changes."""
        return replace(self.plan, **{self.plan.kind: (0,)}, draws=2, retrain_epochs=None)

    def amounts(self) -> tuple[DefectTask, ...]:
        """A task for each count or rate, whatever voltage it is of."""
        plans = (replace(self.plan, **{self.plan.kind: (amount,)}) for amount in self.plan.amounts)
        return tuple(replace(self, plan=plan, error_rates=None) for plan in plans)


def defect_task(section: DefectsSection) -> DefectTask:
    """What a study's table asks for. Raises HardwareError for values that cannot be."""
    read = section.error_rates
    error_rates = None if read is None else ErrorRates(read.source, read.points)
    return DefectTask(DefectPlan(**section.given()), section.images, error_rates)


def test_images(dataset: Dataset, count: int | None) -> tuple[Tensor, Tensor]:
    """Inputs and labels of so many test images, evenly spaced in the split; of all for None.

    Raises HardwareError for more than there are.
    """
    there = len(dataset.test.labels)
    if count is not None and count > there:
        raise HardwareError(f"images = {count} is more than the {there} of the test split: give at most {there}")
    chosen = torch.arange(there) if count is None else torch.arange(count) * there // count
    return dataset.inputs(dataset.test.images[chosen]), dataset.test.labels[chosen]


def measured(
    run: Run,
    module: QuantizedModel,
    network: BitExactNetwork,
    dataset: Dataset,
    folder: Path,
    tell: Callable[[Measured], None],
) -> DefectRecord | None:
    """A run's accuracy with the study's defects; None where it asks for none.

    module, network: as trained, and lowered from it. Each amount that is measured is kept in the folder, so that a
    measurement which was cut off goes on behind it.
    """
    if run.defects is None:
        return None
    settings, device = run.defects.settings, run.training.device
    retrain = None if settings is None else retraining_with_defects(module, dataset, settings, device=device)
    tile = run.defects.tile_of(run.accelerator)
    images, labels = test_images(dataset, run.defects.images)
    parts = run.defects.amounts()
    curves: list[DefectCurve] = []
    for number, part in enumerate(parts):

        def progress(done: int, of: int, before: int = number) -> None:
            tell(Measured(before * of + done, len(parts) * of))

        path, key = _place(run, part, folder)
        curve = _kept(path, key)
        if curve is None:
            curve = measure_defects(
                network, images, labels, part.plan, retrain=retrain, accelerator=tile, progress=progress
            )
            write_tensors(path, {}, json.dumps({"key": key, "curve": curve.to_json()}))
        curves.append(curve)
    rows = tuple(row for curve in curves for row in curve.rows)
    points = () if run.defects.error_rates is None else run.defects.error_rates.points
    notes = (*_notes(curves), *_of_technology(run), *_of_voltages(run))
    return defect_record(replace(curves[0], plan=run.defects.plan, rows=rows, notes=notes), points)


def _notes(curves: Sequence[DefectCurve]) -> Iterator[str]:
    """Of all amounts together; what is said of some of them with the amount in front."""
    for note in dict.fromkeys(note for curve in curves for note in curve.notes):
        having = [curve for curve in curves if note in curve.notes]
        amounts = "" if len(having) == len(curves) else ", ".join(f"{curve.rows[0].amount:g}" for curve in having)
        yield f"{having[0].plan.kind} {amounts}: {note}" if amounts else note


def _of_voltages(run: Run) -> Iterator[str]:
    """Whose memory's voltages they are."""
    if run.defects is not None and run.defects.error_rates is not None:
        yield f"bit error rates by supply voltage: {run.defects.error_rates.source}"


def _of_technology(run: Run) -> Iterator[str]:
    """What stuck nets rest on, where the study's costs rest on something else."""
    assert run.defects is not None
    if run.defects.plan.kind == "counts" and run.technology != SHIPPED:
        yield (
            f"stuck nets are drawn on neurons mapped to {SHIPPED}, and a repair is priced there: the study's "
            "technology is another"
        )


def _place(run: Run, part: DefectTask, folder: Path) -> tuple[Path, str]:
    """Where the measurement of an amount is kept, and the hash of all that defines it: several runs may have one."""
    tile = run.defects and run.defects.tile_of(run.accelerator)
    definition = {
        "training": run.training.key,
        "part": run.part,
        "defects": part.definition(),
        **({} if tile is None else {"tile": tile.definition()}),
    }
    key = json_sha256(definition)
    return defects_path(folder, replace(run.training, key=key).stem), key


def _kept(path: Path, key: str) -> DefectCurve | None:
    """What was measured; None if there is no whole file of this key, so that it is measured anew."""
    try:
        _, record = read_tensors(path, needs_digest=True)
        return DefectCurve.from_json(record["curve"]) if record.get("key") == key else None
    except (OSError, DamagedFileError, HardwareError, KeyError):
        return None
