"""The cost of a network at a precision: memory, cycles, area, power and energy of one image.

The accelerator's dataflow (`dataflow.base`) says how many datapaths there are, which memories, and each layer's
schedule; what follows names DianNao's. What is counted:
- Area: `neurons` copies of the synthesized neuron, and the buffers Bin, SB and Bout, of two-port macros: a row is
  written while another is read; with macros of one port such a row waits (`buffer_ports`).
- Dynamic energy: the energy of each component of a neuron for every busy cycle, in all neurons (those without an output
  to compute are not gated off). With the network's own activity (`network_power`) that energy is the layer's, and in
  cycles that stall, fill or pool the clock alone toggles. Without, it is the table's at a uniform activity; there
  `registers` include their clock pins, which go on in those cycles, and no clock tree is counted. Each access to a
  buffer costs its read or write energy. The adders that add tensors are not characterized: their energy is not in it.
  Nor is that of the memory off the chip, which is told apart (`Cost.off_chip_uj`).
- Control: everything else of the accelerator (controller, address generation, operand and bias registers, pooling,
  write-back), in all cycles, with energies of `characterization.control`. It was characterized for 16 neurons and 64
  rows; for other numbers of neurons it is estimated (`diannao.control_sizes`), other rows and latencies change nothing.
- Leakage: of all neurons, buffers and the control, over all cycles.
- Bandwidth: what each layer needs so that its transfers never stall it (`Cost.needed_bandwidth_gb_s`). Where the
  accelerator is given a bandwidth, layers that need more wait for it, at the energy of cycles that stall.
- Factors behind sums, where a recipe leaves them: see `factors`.
- Layers that the precision's datapath does not compute, such as wider ones: on an accelerator of their own beside
  it, see `tiles`.
- Layers of narrower formats than the datapath that computes them: memory and transfers at their own width, and what
  unpacks them, see `packing`.
- Whatever of this is not as asked for, or left out of this network's figures: in the cost's `notes`.
- Power: energy of an image divided by its time.
- Clock: the one asked for, or the highest below it that datapath, control and the reads of the buffers keep (`clock`).
- Memory: parameters (weights, biases at the accumulator's width; with per-channel radix points four bits an output for
  its own shift, whose small adder is not characterized), and the inputs and outputs of the layer that has most of them
  together, in a graph with what waits in memory for a later layer meanwhile: each in the format of the layers that take
  it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fewbits.errors import HardwareError
from fewbits.formats.scale import CHANNEL_SHIFT_BITS
from fewbits.hardware.costing.breakdown import OPERATIONS_PER_PRODUCT, Breakdown, dram_uj
from fewbits.hardware.costing.chip import Chip, check_built_for, check_sums, chip_of, family_of
from fewbits.hardware.costing.clock import Clock
from fewbits.hardware.costing.datapaths import DEFAULT_DATAPATHS, Request, datapaths_named, machine_for
from fewbits.hardware.costing.factors import factor_bits, with_factors
from fewbits.hardware.costing.layer_power import NetworkPower
from fewbits.hardware.costing.notes import narrower_layers, notes_of, own_datapaths
from fewbits.hardware.costing.tiles import Tile, Tiles, tiles_of
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.plan import AnyAccelerator, Schedule, Widths
from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of
from fewbits.hardware.multipliers.composable import COMPOSABLE
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.process.technology import CONTROL_ACTIVITY, DatapathCost, Technology, load_technology
from fewbits.hardware.workload.networks import assigned_workload, workload_of
from fewbits.hardware.workload.own_precision import named
from fewbits.hardware.workload.products import check_products
from fewbits.hardware.workload.switched_parts import check_units
from fewbits.hardware.workload.workload import LayerShape, Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Assignment, Precision

_BITS_PER_KIB = 8 * 1024


@dataclass(frozen=True)
class Cost:
    """What a network costs at a precision on an accelerator; time, energy and traffic are those of one image."""

    precision: str
    technology: str
    parameters_kib: float
    activations_kib: float
    cycles: int
    utilization: float
    """Needed products as a part of those that the tile could do in all cycles."""

    clock: Clock
    area_mm2: float
    energy_uj: float
    traffic_kib: float
    """Between the chip and its memory."""

    breakdown: Breakdown
    multiplier: str
    """The multipliers' architecture and the products' width, in words."""

    activity: str
    """What the switching activity behind the energy is."""

    energy_interval_uj: float | None = None
    """Half of the 95 % confidence interval of the energy over images; None at an assumed activity."""

    energy_without_glitches_uj: float | None = None
    """The energy if each net toggled at most once a cycle; None where glitches are not told apart."""

    interpolated: bool = False
    """Whether the datapath's figures lie between characterized ones; else it was characterized itself."""

    own_datapaths: Mapping[str, str] = field(default_factory=dict[str, str])
    """Layers that another datapath computes than the precision's, by name, with that datapath's name."""

    layer_datapaths: Mapping[str, str] = field(default_factory=dict[str, str])
    """All layers by name, with the datapath that computes each; pooling and additions go with who takes their result.
    """

    narrower_layers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Layers of narrower formats than the datapath that computes them, by name, with theirs; memory and traffic are of
    these, see `packing`."""

    notes: tuple[str, ...] = ()
    """What an architect must know beside the figures: where they are of something else than was asked for."""

    bandwidth_gb_s: float | None = None
    """Of the memory; None for as much as the layers need."""

    products_per_cycle: int = 0
    """Most that the accelerator starts in one cycle."""

    @property
    def operations(self) -> int:
        """Of one image: two a product."""
        return sum(layer.operations for layer in self.breakdown.layers)

    @property
    def gops(self) -> float:
        """Operations a second, in 10^9, while images are computed."""
        return self.operations / self.time_us / 1000

    @property
    def peak_gops(self) -> float:
        """The same if every multiplier did a product that is needed in every cycle."""
        return OPERATIONS_PER_PRODUCT * self.products_per_cycle * self.clock_mhz / 1000

    @property
    def gops_per_w(self) -> float:
        """Operations a second and watt, in 10^9; the memory beyond the chip is not in it."""
        return self.operations / self.energy_uj / 1000

    @property
    def gops_per_mm2(self) -> float:
        """Operations a second and square millimetre of the chip, in 10^9."""
        return self.gops / self.area_mm2

    @property
    def needed_bandwidth_gb_s(self) -> dict[str, float]:
        """By layer: GB/s at which its transfers take as long as its computation, at the cost's clock."""
        return {
            layer.name: layer.traffic_bits / 8000 * self.clock_mhz / (layer.cycles - layer.transfer_stall_cycles)
            for layer in self.breakdown.layers
        }

    @property
    def transfer_stall_cycles(self) -> int:
        """Of all cycles, those that wait for the memory."""
        return sum(layer.transfer_stall_cycles for layer in self.breakdown.layers)

    @property
    def memory_kib(self) -> float:
        """Parameters and the largest layer's activations."""
        return self.parameters_kib + self.activations_kib

    @property
    def clock_mhz(self) -> float:
        """The clock that datapath, control and buffers keep, at most the one asked for."""
        return self.clock.mhz

    @property
    def time_us(self) -> float:
        """Time for one image."""
        return self.cycles / self.clock_mhz

    @property
    def power_mw(self) -> float:
        """Mean power while images are computed."""
        return self.energy_uj / self.time_us * 1000

    @property
    def off_chip_uj(self) -> tuple[float, float]:
        """Low and high energy of the transfers between the chip and a DRAM; not in `energy_uj`."""
        return dram_uj(self.traffic_kib * _BITS_PER_KIB)

    @property
    def energy_with_off_chip_uj(self) -> tuple[float, float]:
        """`energy_uj` with the low and the high energy of those transfers."""
        low, high = self.off_chip_uj
        return self.energy_uj + low, self.energy_uj + high


def cost(
    network: Workload | BitExactNetwork | nn.Module | str,
    precision: Precision | Assignment | str | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    technology: Technology | Path | str | None = None,
    accelerator: AnyAccelerator | Path | str | None = None,
    activity: NetworkPower | None = None,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    datapaths: str = DEFAULT_DATAPATHS,
    built_for: Sequence[Precision | str] | None = None,
) -> Cost:
    """What a network costs at a precision.

    network: a bit-exact network, a workload, a torch module (quantized or not), or a model's name.
    precision: may be left out if the network has one (a bit-exact network, a quantized module). An assignment gives
    each layer of a float network, or of a model by name, its own.
    input_shape: channels, height, width, for a torch module without an attribute `input_shape` and for a model whose
    name does not tell.
    technology: a table or its file; the shipped one (IHP SG13G2, 130 nm) by default.
    accelerator: an `Accelerator`, one of another dataflow, a preset's name or a TOML file. By default DianNao's,
    16 x 16 with 64 rows at 250 MHz and any bandwidth; what of other sizes the table lacks is estimated, and noted.
    multiplier, product_bits: of the datapath, as in `rtl.design`; a bit-exact network brings its product_bits along.
    A fixedN/fixedM datapath that the table lacks is interpolated, and the result says so.
    activity: of the same network's own operands (`network_power`); without, the table's uniform one.
    datapaths: how the machine is built for layers of several precisions: "one", "each" or "composable" (`datapaths`).
    "one" is the network's precision's, with datapaths beside it for layers that it does not hold; of an assignment,
    the smallest that holds all layers.
    built_for: the precisions that the machine is built for, those of the layers among them: it has the datapaths and
    the conversions of all, used or not, so that assignments of these precisions are compared on one machine
    (`layer_costs`). None for what this network needs.
    Raises HardwareError if the table lacks the precision, the accelerator does not fit it, a layer's sums do not fit
    the accumulator, its products are not the multiplier's, a float network's sums have another order (`lower`), or the
    activity is another network's or of one with layers on other datapaths; FormatError for an unknown precision,
    ModelError for a network that the accelerator does not compute.
    """
    from fewbits.formats import Assignment, parse_precision  # loads torch: late, so that the package stays light

    way = datapaths_named(datapaths)
    if isinstance(precision, Assignment):
        chosen = precision.precision
        workload = assigned_workload(cast("nn.Module | str", network), precision, input_shape)
    else:
        workload = workload_of(network, input_shape)
        chosen = precision if precision is not None else workload.precision
    check_products(network, multiplier)
    if chosen is None:
        raise HardwareError("the network has no precision of its own: give one, such as cost(network, 'fixed8')")
    parsed = parse_precision(chosen) if isinstance(chosen, str) else chosen
    if technology is None:
        technology = _shipped()
    table = technology if isinstance(technology, Technology) else load_technology(technology)
    chosen_accelerator = accelerator_named(accelerator) if isinstance(accelerator, (str, Path)) else accelerator
    made = chosen_accelerator or Accelerator(clock_mhz=table.target_clock_mhz)
    width = product_bits if product_bits is not None else getattr(network, "product_bits", None)
    is_chosen = isinstance(precision, Assignment) or built_for is not None or way != DEFAULT_DATAPATHS
    family = workload = named(workload, parsed.name) if is_chosen else workload
    if built_for is not None:
        family = family_of(
            workload, [parse_precision(one).name if isinstance(one, str) else one.name for one in built_for]
        )
        check_built_for(workload, family)
    if multiplier == COMPOSABLE.name and way != "composable":
        raise HardwareError(
            "the composable multiplier takes other products a cycle in each mode: give datapaths='composable' "
            "(--datapaths), which builds the machine of it"
        )
    check_units(workload, made, dataflow_of(made).name)
    request = Request(table, made, multiplier, width)
    tiles = machine_for(family, parsed, request, way) if is_chosen else tiles_of(workload, request.tile(parsed))
    for tile in dict.fromkeys((tiles.main, *tiles.own.values())):
        tile.dataflow.check_sum_order(getattr(network, "sum_order", None), tile.design, made)
    if activity is not None:
        _check_activity(activity, workload, tiles)
    without_factors = _cost(workload, chip_of(tiles, family.layers), activity)
    found = with_factors(without_factors, factor_bits(network), workload, table, made)
    notices: tuple[str, ...] = getattr(network, "notices", ())  # of a quantized module: zeros that a format lacks
    if isinstance(precision, Assignment):
        found = replace(found, precision=precision.name)
    return replace(found, notes=(*found.notes, *notices)) if notices else found


def _check_activity(activity: NetworkPower, workload: Workload, tiles: Tiles) -> None:
    """Raise HardwareError unless the activity is of these layers, all of them on one datapath."""
    for layer in workload.layers:
        if (tile := tiles.of(layer)) is not tiles.main:
            raise HardwareError(f"the activity is of one datapath, but layer {layer.name!r} needs that of {tile.name}")
    missing = [layer.name for layer in workload.layers if layer.products and layer.name not in activity.layers]
    if activity.precision != tiles.main.name or missing:
        layers = f"; it lacks the layer {missing[0]!r}" if missing else ""
        raise HardwareError(
            f"the activity is of a network at {activity.precision!r}, the cost of one at {tiles.main.name!r}{layers}"
        )


@cache
def _shipped() -> Technology:
    """The default table, read once."""
    return load_technology()


def _cost(workload: Workload, chip: Chip, activity: NetworkPower | None) -> Cost:
    """What a network does on a chip."""
    tiles, clock, used = chip.tiles, chip.clock, chip.used
    main, tile_of_layer = tiles.main, {layer.name: tiles.of(layer) for layer in workload.layers}
    check_sums(workload, tile_of_layer)
    datapaths = main.dataflow.datapaths(main.accelerator)  # every tile is of the same sizes
    widths = {layer.name: tiles.widths(layer) for layer in workload.layers}
    plans, breakdown = chip.run(workload, activity)
    energy_uj = sum(breakdown.energy_uj.values())
    cycles = sum(plan.cycles for plan in plans)
    return Cost(
        precision=main.precision.name,
        technology=main.technology.name,
        parameters_kib=sum(parameter_bits(layer, widths[layer.name]) for layer in workload.layers) / _BITS_PER_KIB,
        activations_kib=activation_bits(workload, widths, tiles) / _BITS_PER_KIB,
        cycles=cycles,
        utilization=workload.products
        / sum(plan.cycles * tile.products_per_cycle for tile, plan in zip(used, plans, strict=True)),
        clock=clock,
        area_mm2=sum(breakdown.area_mm2.values()),
        energy_uj=energy_uj,
        traffic_kib=sum(layer.traffic_bits for layer in breakdown.layers) / _BITS_PER_KIB,
        breakdown=breakdown,
        activity=(activity.basis if activity is not None else uniform_basis(main.datapath))
        + _control_basis(main.datapath),
        energy_interval_uj=_interval_uj(plans[0], datapaths, activity),
        energy_without_glitches_uj=_without_glitches_uj(energy_uj, plans[0], datapaths, activity),
        multiplier=main.datapath.multiplier,
        interpolated=main.is_interpolated,
        bandwidth_gb_s=main.accelerator.bandwidth,
        products_per_cycle=max(tile.products_per_cycle for tile in used),
        own_datapaths=own_datapaths(workload, tiles),
        layer_datapaths={layer.name: tile_of_layer[layer.name].name for layer in workload.layers},
        narrower_layers=narrower_layers(workload, tiles),
        notes=(*notes_of(workload, tiles, clock, breakdown, plans), *_built_for(chip, tile_of_layer)),
    )


def activation_bits(workload: Workload, widths: Mapping[str, Widths], tiles: Tiles) -> int:
    """Most bits of values in memory at a time."""
    return max(
        layer.input_values * own.inputs + layer.output_values * (own.outputs or own.inputs) + tiles.held_bits(layer)
        for layer in workload.layers
        for own in (widths[layer.name],)
    )


def parameter_bits(layer: LayerShape, widths: Widths) -> int:
    """Bits of weights, biases and the shifts of outputs."""
    return (
        layer.weights * widths.weights + layer.biases * widths.accumulator + layer.channel_shifts * CHANNEL_SHIFT_BITS
    )


def _built_for(chip: Chip, tiles: Mapping[str, Tile]) -> tuple[str, ...]:
    """That the chip has datapaths which compute no layer. tiles: of the layers, by name."""
    idle = [tile.name for tile in chip.used if tile not in tiles.values()]
    return (f"the machine has datapaths that compute no layer, and leak: {', '.join(idle)}",) if idle else ()


def uniform_basis(datapath: DatapathCost) -> str:
    """What a table's energies rest on, in a sentence."""
    return (
        f"uniform switching activity of {datapath.activity:g} toggles a data net and cycle in the neurons, an "
        "assumption; no glitches, no clock tree"
    )


def _control_basis(datapath: DatapathCost) -> str:
    return "" if datapath.control is None else f"; control: {CONTROL_ACTIVITY}"


def _interval_uj(plan: Schedule, datapaths: int, activity: NetworkPower | None) -> float | None:
    """Half of the confidence interval of all datapaths' energy over images."""
    if activity is None:
        return None
    busy = {layer.name: datapaths * layer.busy_cycles for layer in plan.layers if layer.products}
    return activity.half_interval_pj(busy) * 1e-6


def _without_glitches_uj(
    energy_uj: float, plan: Schedule, datapaths: int, activity: NetworkPower | None
) -> float | None:
    if activity is None or not activity.glitches:
        return None
    saved_pj = sum(
        datapaths * layer.busy_cycles * activity.layers[layer.name].glitches_pj
        for layer in plan.layers
        if layer.products
    )
    return energy_uj - saved_pj * 1e-6
