"""What a study asks for is tried before any training: precisions, recipes and models that cannot work are refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fewbits import models
from fewbits.bitexact import lower
from fewbits.data import Dataset
from fewbits.errors import FewbitsError, ModelError, StudyError
from fewbits.formats import Precision, ProductTable, parse_precision
from fewbits.formats.assignment import Assignment
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.hardware import Accelerator, AnyAccelerator, Technology, cost
from fewbits.hardware.datapath.interpolation import can_interpolate
from fewbits.hardware.datapath.strategies import strategy_for
from fewbits.hardware.defects import measure_defects
from fewbits.hardware.defects.places import place_of
from fewbits.hardware.multipliers import product_table
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.models import ModelSource
from fewbits.quantization import calibrate, fold_batch_norm, quantize
from fewbits.study.defects import DefectTask, test_images
from fewbits.study.sections import PrecisionSection
from fewbits.study.tasks import BASELINE
from fewbits.train import RECIPES, RecipeOptions, TrainSettings, prepare_recipe
from fewbits.train.operating_point import kept
from fewbits.train.recipes import refuse_precisions
from fewbits.train.temporary_batch_norm import refuse_unfit


def checked_assignment(
    given: PrecisionSection, folder: Path, technology: Technology, inputs: str | None = None
) -> Assignment:
    """The assignment of an entry of a study, if its network's precision can be lowered and costed.

    folder: where the path of a circuit begins. inputs: the study's option for unsigned ones. The precisions of single
    layers are tried with a network (`try_assignment`).
    """
    read = _read_assignment(given, folder, technology)
    return read if inputs is None else read.with_auto_sign()


def _read_assignment(given: PrecisionSection, folder: Path, technology: Technology) -> Assignment:
    if given.definition is None:
        return Assignment.uniform(_checked_precision(given.name, technology))
    read = Assignment.from_definition(given.definition, given.name)
    _checked_precision(read.precision.name, technology)
    if read.product is not None and (folder / read.product).is_file():
        return replace(read, product=str(folder / read.product))
    return read


def _checked_precision(text: str, technology: Technology) -> Precision:
    """The precision, if it can be lowered and costed."""
    precision = parse_precision(text)
    if {precision.weights.arithmetic, precision.inputs.arithmetic} == {"integer", "float32"}:
        raise StudyError(
            f"{text!r} mixes a float with an integer format, which no datapath computes: "
            "give two integer formats (fixed, pow2, ternary, binary) or two floats"
        )
    strategy_for(precision)  # refuses what no circuit computes
    if technology.find(precision) is None and not can_interpolate(technology, precision):
        technology.datapath(precision)
    return precision


def refuse_recipe(recipe: str, asked: Sequence[Assignment]) -> None:
    """Raise StudyError if a recipe does not take one of the precisions; float32 is the float network's own."""
    for one in asked:
        if one.name == BASELINE:
            continue
        try:
            refuse_precisions(recipe, one.precisions, has_layers=bool(one.layers))
        except ModelError as error:
            raise StudyError(str(error) if one.is_uniform else f"{one.name!r}: {error}") from None


def try_switching(
    recipes: Iterable[str],
    asked: Sequence[Assignment],
    options: RecipeOptions,
    technology: Technology,
    machines: Iterable[AnyAccelerator],
) -> None:
    """Raise StudyError if an approximation is none of a precision's products, or a machine does not switch it.

    recipes: those that approximate nothing pass. Tried with a layer of two units, before anything is trained.
    """
    recipe = next((name for name in sorted(recipes) if "approximation" in RECIPES[name].options), None)
    precisions = dict.fromkeys(each for one in asked if one.name != BASELINE for each in one.precisions)
    for precision in precisions if recipe is not None else ():
        try:
            tried = quantize(torch.nn.Sequential(torch.nn.Linear(32, 32)), precision)
            tried.layers["0"].switch(SwitchedUnits(options.approximation, (0,)))
            for machine in machines:
                cost(tried, input_shape=(32,), technology=technology, accelerator=machine)
        except FewbitsError as error:
            raise StudyError(
                f"recipe {recipe!r} with approximation {options.approximation!r} at {precision.name}: {error}"
            ) from None


def products_of(one: Assignment) -> ProductTable | None:
    """What makes an assignment's products; None where they are exact.

    Raises StudyError where layers have precisions of their own, HardwareError for an unknown multiplier.
    """
    if one.product is None:
        return None
    if one.layers:
        raise StudyError(
            f"{one.name!r} has layers of their own precision and a product, which is one circuit's for one precision: "
            "leave one of them out"
        )
    return product_table(one.product, one.precision)


def is_tried(one: Assignment) -> bool:
    """Whether it takes the network and the data to tell if a precision can be used: of layers, of unsigned inputs, of
    signs, which have no zero.
    """
    inputs = [precision.inputs for precision in one.precisions]
    return not one.is_uniform or any(not each.is_signed or not each.has_zero for each in inputs)


def try_assignment(
    one: Assignment,
    model: str,
    source: ModelSource,
    dataset: Dataset,
    technology: Technology,
    machines: Iterable[AnyAccelerator],
    datapaths: str,
) -> None:
    """Raise StudyError if a model does not have an assignment's layers, or they cannot be lowered and costed so."""
    network = fold_batch_norm(models.build(model, seed=0, source=source).eval())
    try:
        quantized = quantize(network, one.precision, layers=one.layers, products=products_of(one))
        images = dataset.inputs(dataset.train.images[:2])
        lowered = lower(calibrate(quantized, images), images[:1])
        for machine in machines:
            cost(
                lowered,
                technology=technology,
                accelerator=machine,
                datapaths=datapaths,
                multiplier=one.product or DEFAULT_MULTIPLIER,
            )
    except FewbitsError as error:
        raise StudyError(f"{one.name!r} on model {model!r}: {error}") from None


def try_defects(
    defects: DefectTask,
    asked: Sequence[tuple[Assignment, Collection[str]]],
    model: str,
    source: ModelSource,
    dataset: Dataset,
    machines: Iterable[AnyAccelerator],
) -> None:
    """Raise StudyError for a precision whose networks are not measured with a study's defects, naming it.

    asked: each with the recipes that train it. Networks are lowered untrained, and measured with no defect on two
    images. float32 is not measured.
    """
    measured = [(one, recipe) for one, recipes in asked for recipe in recipes if one.name != BASELINE]
    if not measured:
        raise StudyError(f"networks of {BASELINE} are not measured with defects: give a precision besides")
    test_images(dataset, defects.images)  # refuses more than there are
    network = fold_batch_norm(models.build(model, seed=0, source=source).eval())
    images, labels = test_images(dataset, min(2, len(dataset.test.labels)))
    for one, recipe in measured:
        quantized = prepare_recipe(recipe, network, one.precision, one.layers, products=products_of(one))
        try:
            lowered = lower(calibrate(quantized, images), images[:1])
            for machine in machines:
                tile = defects.tile_of(machine)
                place_of(lowered, defects.plan, tile or Accelerator(), None)  # refuses more faults than places
                measure_defects(lowered, images, labels, defects.without_any, accelerator=tile)
        except FewbitsError as error:
            raise StudyError(f"{one.name!r} on model {model!r}: {error}") from None


def refuse_normalizing(model: str, source: ModelSource) -> None:
    """Raise ModelError if a model's convolutions cannot be normalized while it trains."""
    try:
        refuse_unfit(models.build(model, seed=0, source=source))
    except ModelError as error:
        raise ModelError(f"model {model!r}: {error}") from None


def refuse_undivided(
    recipe: str, model: str, source: ModelSource, precision: Precision, options: RecipeOptions
) -> None:
    """Raise ModelError if a model's channels cannot be divided into increments."""
    try:
        network = models.build(model, seed=0, source=source).eval()
        kept(quantize(fold_batch_norm(network), precision), options.increments[0])
    except ModelError as error:
        raise ModelError(f"{recipe!r}: model {model!r}: {error}") from None


def refuse_unstarted(settings: TrainSettings, networks: Sequence[str], starts: Mapping[str, object]) -> None:
    """Raise StudyError for settings of float training that go with the user's own weights alone, or not with them."""
    without = [network for network in networks if network not in starts]
    if not settings.epochs and without:
        raise StudyError(
            f"epochs = 0 leaves the float network of {without[0]!r} untrained: give at least 1, or its trained weights "
            'by start = "FILE"'
        )
    if settings.batch_normalization and starts:
        raise StudyError(
            "batch_normalization normalizes sums anew, so that weights given by start compute something else: leave "
            "one of the two out"
        )


def refuse_absent_device(device: str) -> None:
    """Raise StudyError for a device that this machine does not have."""
    kind, _, number = device.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        there = ", ".join(("cpu", *(f"cuda:{index}" for index in range(count))))
        raise StudyError(f"{device!r}: torch finds no such device here, it has {there}: give one of these")


def try_model(model: str, source: ModelSource, name: str, dataset: Dataset) -> bool:
    """Refuse a model that does not take the data's images, gives no logits of its classes or cannot be lowered.

    Returns whether values between its layers are rounded by themselves.
    """
    shape = models.input_shape(model, source=source)
    if shape is not None:
        dataset.require_shape(shape, model)
    network = models.build(model, seed=0, source=source).eval()
    image = dataset.inputs(dataset.train.images[:1])
    try:
        with torch.no_grad():
            logits = network(image)
    except Exception as error:  # whatever a user's forward raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        size = " x ".join(map(str, dataset.image_shape))
        raise StudyError(f"model {model!r} does not take the images of data {name!r} ({size}): {reason}") from None
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] < dataset.classes:
        given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise StudyError(
            f"model {model!r} returns {given} for one image of data {name!r}: it must return logits of shape "
            f"(1, {dataset.classes})"
        )
    quantized = quantize(fold_batch_norm(network), BASELINE)
    lower(quantized, image)
    return bool(quantized.roundings)
