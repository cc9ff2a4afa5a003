"""One task of a study, from training to figures. Runs in a worker; knows no store and no other task."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from fewbits import data, models
from fewbits.bitexact import BitExactNetwork, lower
from fewbits.data import Dataset, Inputs, Split
from fewbits.errors import DataError, HardwareError
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.hardware import Cost, NetworkPower, Technology, cost, dataflow_of, load_technology
from fewbits.hardware.costing.network_power import power_from_operands
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.quantization import QuantizedModel, batch_norms, calibrate, fold_batch_norm, quantize
from fewbits.study.baselines import baseline_of
from fewbits.study.checks import products_of, refuse_absent_device
from fewbits.study.declaration import Tested
from fewbits.study.defects import measured
from fewbits.study.digest import data_sha256
from fewbits.study.events import Measured
from fewbits.study.figures import kept_of_cost, kept_of_test
from fewbits.study.front_record import FrontPoint
from fewbits.study.networks import (
    TrainingOutcome,
    checkpoint_folder,
    load_network,
    network_path,
    remove_checkpoints,
    save_network,
)
from fewbits.study.plan import versions
from fewbits.study.result import FLOAT_RECIPE, RunResult
from fewbits.study.tasks import Run, Task, Training
from fewbits.train import (
    RECIPES,
    Evaluation,
    Progress,
    TrainRecord,
    evaluate,
    operating_points,
    prepare_recipe,
    run_recipe,
    train_float,
)
from fewbits.train.checkpoint import UNFIT, ForeignCheckpointError
from fewbits.train.one_class import one_class_notice

_BASELINE = "float32"


def _ignore(_: Progress | Measured) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Workshop:
    """Where a worker does its tasks: the output folder, and the data it has loaded."""

    folder: Path
    progress: Callable[[Progress | Measured], None] = _ignore
    _datasets: dict[str, Dataset] = field(default_factory=dict[str, Dataset])
    _baselines: dict[str, float] = field(default_factory=dict[str, float])
    """Energies at float32 that this worker knows, uJ, by the key of their `Baseline`."""

    def do(self, task: Task) -> TrainingOutcome | RunResult:
        """Do a task of either kind."""
        return self.run(task) if isinstance(task, Run) else self.train_float(task)

    def train_float(self, training: Training) -> TrainingOutcome:
        """See that a float network is trained and kept, from its last checkpoint if there is one."""
        refuse_absent_device(training.device)
        return self._float(training)[1]

    def run(self, run: Run) -> RunResult:
        """Train (unless that is done), lower, test and cost a point of the study."""
        start = time.perf_counter()
        refuse_absent_device(run.training.device)
        dataset = self._dataset(run.training)
        base, float_outcome = self._float(run.float_training)
        assert float_outcome.test_accuracy_percent is not None
        device = run.training.device
        folded, notices = _folded(base, float_outcome.test_accuracy_percent, dataset, device)
        module, outcome = self._module(run, base, folded, float_outcome)
        images = Inputs(dataset, dataset.test)
        fake = _tested(module, dataset, dataset.test, device)
        network = _lowered(module, images[:1], run)
        predictions = torch.cat([network.predict(chunk.to(device)).cpu() for chunk in images.chunks()])
        technology = load_technology(run.technology)
        figures = _cost(network, images, technology, run)
        baseline_uj, without = self._baseline_uj(figures, folded, images, technology, run)
        tested = Tested(
            labels=dataset.test.labels,
            predictions=predictions,
            fake_quantized=fake,
            training=outcome,
            float_training=float_outcome,
            cost=figures,
            baseline_uj=baseline_uj,
            assumed_uj=_costed(network, technology, run).energy_uj,
            front=_front(module, outcome, tuple(images[:1].shape[1:]), technology, run),
            defects=measured(run, module, network, dataset, self.folder, self.progress),
        )
        began = float_outcome.notices if run.training.start is not None else ()
        one_class = one_class_notice(dataset, dataset.test, "test images")
        said = dict.fromkeys((*began, *notices, *outcome.notices, *([one_class] if one_class else [])))
        costed = f"{run.training.precision}{f' on {run.accelerator_name}' if run.accelerator_name else ''}"
        return RunResult(
            key=run.key,
            model=run.training.model,
            data=run.training.data,
            precision=run.training.precision,
            assignment={} if run.training.assignment is None else run.training.assignment.definition(),
            recipe=run.recipe,
            stands_for=run.stands_for,
            accelerator=run.accelerator_name,
            seed=run.training.seed,
            skipped=tuple(f"{one.name} ({one.kind}): {one.reason}" for one in module.skipped),
            wall_time_s=time.perf_counter() - start,
            notices=(
                *(f"{run.training.model}, seed {run.training.seed}: {one}" for one in said),
                *(f"{costed}: {note}" for note in (*module.notices, *figures.notes, *without)),
            ),
            versions=versions(),
            **kept_of_test(tested),
            **kept_of_cost(figures),
        )

    def lowered(self, run: Run) -> tuple[BitExactNetwork, torch.Tensor]:
        """A run's bit-exact network, trained unless that is done, and the first test image."""
        base, float_outcome = self._float(run.float_training)
        folded = fold_batch_norm(base) if batch_norms(base) else base
        module, _ = self._module(run, base, folded, float_outcome)
        dataset = self._dataset(run.training)
        image = dataset.inputs(dataset.test.images[:1])
        return _lowered(module, image, run), image

    def _module(
        self, run: Run, base: nn.Module, folded: nn.Module, float_outcome: TrainingOutcome
    ) -> tuple[QuantizedModel, TrainingOutcome]:
        """The network that a run tests, in evaluation mode."""
        if run.training.recipe == FLOAT_RECIPE:
            return quantize(folded, _BASELINE).eval(), float_outcome
        module, outcome = self._quantized(run.training, base, folded)
        if run.part < 1:
            module, outcome = self._operating_point(run, module, outcome)
        return module.eval(), outcome

    def _baseline_uj(
        self, figures: Cost, base: nn.Module, images: Inputs, technology: Technology, run: Run
    ) -> tuple[float | None, tuple[str, ...]]:
        """Energy of the same network at float32, costed alike: both from operands, or both at the assumed activity.

        The first worker to know it keeps it on disk for all that see the folder. base: batch normalization folded. None
        if the technology has no float32, or the accelerator does not compute it; then a note says why.
        """
        if _BASELINE not in technology.datapaths:
            return None, ()
        from_operands = figures.energy_interval_uj is not None
        baseline = baseline_of(run, self.folder, from_operands=from_operands)
        known = self._baselines
        if run.training.precision == _BASELINE:
            known[baseline.key] = baseline.keep(figures.energy_uj)
        elif baseline.key not in known:
            kept = baseline.kept()
            if kept is None:
                network = _lowered(quantize(base, _BASELINE).eval(), images[:1], run)
                try:
                    cost_there = _cost(network, images, technology, run, from_operands=from_operands)
                except HardwareError as refusal:
                    return None, (f"no energy saved is told, since {_BASELINE} has no cost on this machine: {refusal}",)
                kept = baseline.keep(cost_there.energy_uj)
            known[baseline.key] = kept
        return known[baseline.key], ()

    def _dataset(self, training: Training) -> Dataset:
        """The data, loaded once. Raises DataError if it changed since the study was planned."""
        if training.data not in self._datasets:
            dataset = data.load(training.data, folder=training.source.folder, **vars(training.stated))
            if data_sha256(dataset) != training.data_sha256:
                raise DataError(
                    f"data {training.data!r} is not what the study was planned with: it changed while the study ran, "
                    "or another machine has another file of this name: give the same command again"
                )
            self._datasets[training.data] = dataset
        return self._datasets[training.data]

    def _float(self, training: Training) -> tuple[nn.Module, TrainingOutcome]:
        network = models.build(training.model, training.seed, source=training.source)

        def train() -> tuple[nn.Module, TrainRecord]:
            fresh = models.build(training.model, training.seed, source=training.source)
            start, dataset = training.start, self._dataset(training)
            notes = () if start is None else start.load_into(fresh)
            record = train_float(
                fresh,
                dataset,
                training.settings,
                training.seed,
                checkpoint_folder=self._checkpoints(training),
                progress=self.progress,
                device=training.device,
                keep_start=start is not None,
            )
            if start is not None:
                record = replace(record, notices=(start.notice(notes, record, dataset), *record.notices))
            return fresh, record

        return network, self._into(network, training, train)

    def _quantized(
        self, training: Training, base: nn.Module, folded: nn.Module
    ) -> tuple[QuantizedModel, TrainingOutcome]:
        asked = training.computes_at
        products = products_of(asked)
        network = prepare_recipe(training.recipe, folded, asked.precision, asked.layers, products=products)

        def train() -> tuple[nn.Module, TrainRecord]:
            module, record = run_recipe(
                training.recipe,
                base if RECIPES[training.recipe].trains_normalized else folded,
                asked.precision,
                self._dataset(training),
                training.settings,
                training.seed,
                options=training.options,
                layers=asked.layers,
                products=products,
                checkpoint_folder=self._checkpoints(training),
                progress=self.progress,
                device=training.device,
            )
            if not batch_norms(module):
                return module, record
            return _fold_trained(module, record, training, self._dataset(training))

        return network, self._into(network, training, train)

    def _operating_point(
        self, run: Run, whole: QuantizedModel, outcome: TrainingOutcome
    ) -> tuple[QuantizedModel, TrainingOutcome]:
        """A part of a runtime-configurable network's channels, and how well it does on the validation split."""
        dataset = self._dataset(run.training)
        images = dataset.inputs(dataset.train.images[: run.training.settings.calibration_images])
        (point,) = operating_points(whole, images, (run.part,))
        accuracy = _tested(point.model, dataset, dataset.validation, run.training.device).accuracy_percent
        return point.model, replace(outcome, validation_accuracy_percent=accuracy)

    def _into(
        self, network: nn.Module, training: Training, train: Callable[[], tuple[nn.Module, TrainRecord]]
    ) -> TrainingOutcome:
        """Fill a network with trained weights: those on disk, or else new ones, which are kept on disk.

        In both cases they are copied into the same fresh network, so that memory layouts, and with them the order in
        which floats are added, do not depend on how the weights came.
        """
        path = network_path(self.folder, training.stem)
        loaded = load_network(path, training.key)
        if loaded is not None and _fill(network, loaded[0]):
            return loaded[1]
        notices = (f"stored network {path.name!r} was damaged and is made anew",) if path.exists() else ()
        trained, record = self._trained(training, train)
        network.load_state_dict({name: tensor.contiguous() for name, tensor in trained.state_dict().items()})
        test_accuracy = None
        if training.recipe == FLOAT_RECIPE:
            dataset = self._dataset(training)
            test_accuracy = _tested(network, dataset, dataset.test, training.device).accuracy_percent
        outcome = TrainingOutcome(
            key=training.key,
            epochs=record.epochs_run,
            best_epoch=record.best_epoch,
            validation_accuracy_percent=record.best_validation_accuracy_percent,
            test_accuracy_percent=test_accuracy,
            notices=(*notices, *record.notices),
            wall_time_s=record.wall_time_s,
            history=record.history,
            rounds=record.rounds,
        )
        save_network(path, network, outcome)
        remove_checkpoints(self._checkpoints(training))
        return outcome

    def _trained(
        self, training: Training, train: Callable[[], tuple[nn.Module, TrainRecord]]
    ) -> tuple[nn.Module, TrainRecord]:
        """A training's result; a checkpoint that is whole but of another training gives way to it."""
        try:
            return train()
        except ForeignCheckpointError:
            remove_checkpoints(self._checkpoints(training))
            module, record = train()
            notice = "a checkpoint of another training lay in this one's place: training started anew"
            return module, replace(record, notices=(notice, *record.notices))

    def _checkpoints(self, training: Training) -> Path:
        return checkpoint_folder(self.folder, training.stem)


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    """Fill a network with trained values; whether they fit."""
    try:
        network.load_state_dict(tensors)
    except UNFIT:
        return False
    return True


def _lowered(module: nn.Module, example: torch.Tensor, run: Run) -> BitExactNetwork:
    """The bit-exact network, its float sums in the order of the run's accelerator."""
    order = dataflow_of(run.accelerator).sum_order(run.accelerator)
    return lower(module, example) if order is None else lower(module, example, sum_order=order)


def _cost(
    network: BitExactNetwork, images: Inputs, technology: Technology, run: Run, *, from_operands: bool = True
) -> Cost:
    """The cost, with the activity of the network's own operands where that is asked for and the technology has a
    compiled netlist.
    """
    # no netlist runs a network's operands in two modes or on two datapaths
    formats = {(layer.weight_format, layer.input_format) for layer in network.layers}
    datapaths, multiplier = _built(network, run)
    activity = None
    if from_operands and (datapaths == "one" or (datapaths == "each" and len(formats) == 1)):
        activity = power_from_operands(network, images, technology, run.technology, run.accelerator, multiplier)
    return _costed(network, technology, run, activity)


def _costed(network: BitExactNetwork, technology: Technology, run: Run, activity: NetworkPower | None = None) -> Cost:
    """The cost on the machine that a run asks for. activity: None is the table's assumed one."""
    datapaths, multiplier = _built(network, run)
    return cost(
        network,
        technology=technology,
        accelerator=run.accelerator,
        activity=activity,
        datapaths=datapaths,
        multiplier=multiplier,
    )


def _built(network: BitExactNetwork, run: Run) -> tuple[str, str]:
    """Datapaths and multiplier of a network's machine; those of float32 are one, and exact, whatever is asked for."""
    if network.precision.name == _BASELINE:
        return "one", DEFAULT_MULTIPLIER
    return run.datapaths, run.training.computes_at.product or DEFAULT_MULTIPLIER


def _front(
    module: QuantizedModel, outcome: TrainingOutcome, shape: tuple[int, ...], technology: Technology, run: Run
) -> tuple[FrontPoint, ...]:
    """What the network of each round costs, at the assumed activity: only what is switched tells them apart."""
    points: list[FrontPoint] = []
    costed = copy.deepcopy(module) if outcome.rounds else module
    for one in outcome.rounds:
        for name, layer in costed.layers.items():
            layer.switch(SwitchedUnits.parse(one.layers[name]) if name in one.layers else None)
        figures = cost(costed, input_shape=shape, technology=technology, accelerator=run.accelerator)
        points.append(
            FrontPoint(
                round=one.number,
                switched=one.switched,
                units=one.units,
                validation_accuracy_percent=one.validation_accuracy_percent,
                energy_uj=figures.energy_uj,
                cycles=figures.cycles,
                area_mm2=figures.area_mm2,
                is_taken_back=one.is_taken_back,
            )
        )
    return tuple(points)


def _tested(network: nn.Module, dataset: Dataset, split: Split, device: str) -> Evaluation:
    """Evaluate a network of the CPU on a device; it comes back."""
    try:
        return evaluate(network.to(device), dataset, split, device=device)
    finally:
        network.cpu()


def _folded(
    base: nn.Module, accuracy_percent: float, dataset: Dataset, device: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """The float network with batch normalization folded, and a notice of its accuracy on the test images before and
    after; the network itself and none if it has no normalization.
    """
    count = len(batch_norms(base))
    if count == 0:
        return base, ()
    folded = fold_batch_norm(base)
    after = _tested(folded, dataset, dataset.test, device).accuracy_percent
    return folded, (
        f"{count - len(batch_norms(folded))} of {count} batch normalizations folded into weights and biases, float "
        f"test accuracy {accuracy_percent:.2f} % before, {after:.2f} % after",
    )


def _fold_trained(
    module: QuantizedModel, record: TrainRecord, training: Training, dataset: Dataset
) -> tuple[QuantizedModel, TrainRecord]:
    """A trained network with batch normalization folded, radix points chosen anew; its record tells what that cost."""
    folded = fold_batch_norm(module)
    images = dataset.train.images[: training.settings.calibration_images]
    calibrate(
        folded,
        dataset.inputs(images),
        training.settings.calibration_method,
        percentile=training.settings.calibration_percentile,
    )
    accuracy = evaluate(folded.eval(), dataset, dataset.validation, device=training.device).accuracy_percent
    notice = (
        f"batch normalization folded after training ({training.recipe} at {training.precision}), validation accuracy "
        f"{record.best_validation_accuracy_percent:.2f} % before, {accuracy:.2f} % after"
    )
    return folded, replace(record, best_validation_accuracy_percent=accuracy, notices=(*record.notices, notice))
