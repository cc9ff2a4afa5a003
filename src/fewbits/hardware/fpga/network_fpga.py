"""What a network takes of an FPGA: resources of the accelerator, its clock, images a second. No energy, no area.

Everything is counted of the circuit that `fewbits rtl` writes: the neuron, the control (all but neurons and buffers)
and each buffer are mapped by themselves, and added. A pad ring, a memory controller and a processor are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.arguments import is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.fpga.counting import Clock, clock_of, placer_version, yosys_version
from fewbits.hardware.fpga.families import Device, Family, device_named, family_named
from fewbits.hardware.fpga.parts import PartResources, resources_of_parts, total
from fewbits.hardware.fpga.resources import Resources
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.products import check_products
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision

ASSUMED_CLOCK_MHZ = 100.0
"""Where none is asked for and none can be told: that of Zhang et al., "Optimizing FPGA-based Accelerator Design for
Deep Convolutional Neural Networks" (FPGA 2015), on a Virtex-7."""


@dataclass(frozen=True)
class FpgaCost:
    """A network at a precision on an accelerator in a family of FPGAs. Energy and area are not claimed."""

    precision: str
    family: Family
    accelerator: AnyAccelerator
    tool: str
    """Whose counts these are, with its version."""

    multiplier: str
    """How products are made, in words."""

    parts: Mapping[str, PartResources]
    """By name; the first is the datapath."""

    cycles: int
    """For one image."""

    clock_mhz: float
    clock_basis: str
    """Whether it was reached or asked for, in words."""

    ebops: int
    """Effective bit operations of a cycle: products that start in it, times the bits of weight and input (HGQ, arXiv
    2405.00645), for which LUT + 55 DSP is the measure."""

    device: Device | None = None
    notes: tuple[str, ...] = ()

    @property
    def resources(self) -> Resources:
        """Of the whole accelerator."""
        return total(self.parts)

    @property
    def datapath(self) -> Resources:
        """Of one neuron."""
        return next(iter(self.parts.values())).each

    @property
    def images_per_second(self) -> float:
        """One image after another."""
        return self.clock_mhz * 1e6 / self.cycles

    @property
    def excess(self) -> tuple[str, ...]:
        """What the device has too little of; none without a device."""
        return () if self.device is None else self.resources.excess(self.device.budget)

    @property
    def smallest_device(self) -> Device | None:
        """The first of the family's devices, from the smallest, that holds it; None if it fits none."""
        return next((one for one in self.family.devices if self.resources.fits(one.budget)), None)


def fpga_cost(
    network: Workload | BitExactNetwork | nn.Module | str,
    precision: Precision | str | None = None,
    family: Family | str | None = None,
    *,
    device: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    accelerator: AnyAccelerator | str | None = None,
    multiplier: str = "operator",
    product_bits: int | None = None,
    clock_mhz: float | None = None,
    with_clock: bool = True,
    progress: Progress | None = None,
) -> FpgaCost:
    """What a network at a precision takes of an FPGA, and how many images a second it computes.

    network, precision, input_shape, accelerator: as for `fewbits.cost`. family: `xc7`, `ecp5`, `ice40`; may be left out
    with a device. device: one of the family's, whose budget the accelerator is held against.
    multiplier: "operator" by default: a plain product, which the mapper puts into DSP blocks.
    clock_mhz: the clock asked for; the accelerator runs at it, or at what the placer says that it reaches. Without, at
    what it reaches, or at 100 MHz where no placer tells. with_clock: whether to ask the placer, which takes a minute.
    Counts are kept in the user's cache folder. progress: gets a line for each tool that is started.
    Raises HardwareError for an unknown family or device, an accelerator without a circuit, a precision that no circuit
    computes, a network with layers of other precisions, or if a tool fails; FormatError for an unknown precision.
    """
    chosen, on = _family_and_device(family, device)
    if clock_mhz is not None and not is_real(clock_mhz, 0, open_low=True):
        raise HardwareError(f"clock_mhz must be a positive number, not {shown(clock_mhz)}")
    workload = workload_of(network, input_shape)
    check_products(network, multiplier_kind(multiplier).name)
    machine = accelerator_named(accelerator) if isinstance(accelerator, str) else accelerator or Accelerator()
    width = product_bits if product_bits is not None else getattr(network, "product_bits", None)
    made = neuron_of(workload, precision, machine, multiplier, width)
    dataflow = dataflow_of(machine)
    plan = dataflow.schedule(workload, machine, made)
    parts = resources_of_parts(made, machine, chosen, progress)
    reached = reached_clock(made, machine, chosen, progress) if with_clock else None
    mhz, basis = _clock(clock_mhz, reached, chosen, with_clock)
    return FpgaCost(
        precision=made.precision.name,
        family=chosen,
        accelerator=machine,
        tool=yosys_version(),
        multiplier=made.multiplier,
        parts=parts,
        cycles=plan.cycles,
        clock_mhz=mhz,
        clock_basis=basis,
        ebops=dataflow.products_per_cycle(machine) * made.precision.weights.bits * made.precision.inputs.bits,
        device=on,
        notes=(*_multiplier_notes(made, total(parts)), *workload.uncounted),
    )


def reached_clock(
    made: NeuronDesign, accelerator: AnyAccelerator, family: Family, progress: Progress | None = None
) -> Clock | None:
    """The clock of the slowest part that is not a memory, each placed by itself; None where no placer tells."""
    if placer_version(family) is None:
        return None
    parts = dataflow_of(accelerator).needed("circuit_parts")(made, accelerator)
    clocks = [clock_of(part.rtlil(), part.top, family, progress, part.name) for part in parts if part.memory is None]
    return min((one for one in clocks if one is not None), key=lambda one: one.mhz)


def neuron_of(
    workload: Workload,
    precision: Precision | str | None,
    accelerator: AnyAccelerator,
    multiplier: str = "operator",
    product_bits: int | None = None,
) -> NeuronDesign:
    """The datapath of a network at a precision, as the accelerator has it.

    Raises HardwareError for a network with layers of other precisions, or of more synapses than the accumulator takes.
    """
    chosen = precision if precision is not None else workload.precision
    if chosen is None:
        raise HardwareError("the network has no precision of its own: give one, such as fpga_cost(network, 'fixed8')")
    synapses: int = getattr(accelerator, "synapses", Accelerator.synapses)
    made = design(chosen, synapses, multiplier=multiplier, product_bits=product_bits)
    for layer, own in workload.own_precisions.items():
        if own != made.precision.name:
            raise HardwareError(
                f"layer {layer!r} is at {own}, the accelerator's neurons at {made.precision.name}: resources of an "
                "FPGA are counted of one precision, so give a network that has one"
            )
    for layer in workload.layers:
        if layer.has_weights and not made.takes(layer.synapses):
            raise HardwareError(
                f"layer {layer.name!r} sums {layer.synapses} products for one output, the accumulator of "
                f"{made.precision.name} takes up to {made.maximum_synapses}: split the layer, or use float32"
            )
    return made


def _multiplier_notes(made: NeuronDesign, taken: Resources) -> tuple[str, ...]:
    """Where plain products were asked for, and no DSP block took one."""
    asked = made.multiplier_made
    if taken.dsps or not asked.fits_dsp_blocks or asked.words not in made.multiplier:
        return ()
    return ("no product went into a DSP block, they are too narrow: Booth multipliers may take fewer LUTs",)


def _family_and_device(family: Family | str | None, device: str | None) -> tuple[Family, Device | None]:
    """Both, checked against each other."""
    named = family_named(family) if isinstance(family, str) else family
    if device is None:
        if named is None:
            raise HardwareError("give a family of FPGAs, such as 'xc7', or a device")
        return named, None
    own, found = device_named(device) if named is None else (named, named.device(device))
    return own, found


def _clock(asked: float | None, reached: Clock | None, family: Family, with_clock: bool) -> tuple[float, str]:
    """The clock, and what it is."""
    if reached is not None:
        basis = f"{reached.tool} reaches {reached.mhz:.4g} MHz, neuron and control each placed by itself"
        if asked is not None and asked <= reached.mhz:
            return asked, f"asked for; {basis}"
        return reached.mhz, basis
    mhz = ASSUMED_CLOCK_MHZ if asked is None else asked
    words = "assumed" if asked is None else "asked for"
    if family.placer is not None and not with_clock:
        return mhz, f"{words}: {family.placer} was not asked"
    return mhz, f"{words}: {family.no_clock}"
