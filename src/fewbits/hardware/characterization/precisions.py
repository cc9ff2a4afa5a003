"""What is synthesized for each precision, as jobs: its neuron, and the control around it; and who does them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewbits.errors import HardwareError
from fewbits.executors import Executor, Job, JobFailure, JobLost, JobProgress, JobResult, Payload, WorkersNotice
from fewbits.executors.inline import InlineExecutor
from fewbits.hardware.characterization.control import control_cost
from fewbits.hardware.characterization.netlists import compile_neuron, datapath_cost
from fewbits.hardware.characterization.neuron_options import Neuron, synthesize_first
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.technology import ControlCost, DatapathCost, Technology


@dataclass(frozen=True)
class Assumptions:
    """What holds for all precisions of a table."""

    conditions: Conditions
    target_mhz: float
    toggles_per_cycle: float
    with_control: bool = True
    """Whether the control around neurons is made, too."""


@dataclass(frozen=True)
class MadeNeuron:
    """A neuron's netlist and what a table says of it."""

    neuron: Neuron
    """The option that was taken."""

    cost: DatapathCost
    netlist: CompiledNetlist

    def into(self, table: Technology) -> Technology:
        """The table with it."""
        name = self.neuron.precision
        cost = self.cost
        if name in table.datapaths:
            cost = replace(cost, control=table.datapaths[name].control)
        provenance = {**table.provenance, neuron_key(self.neuron): self.neuron.sha256}
        return replace(table, datapaths={**table.datapaths, name: cost}, provenance=provenance)


@dataclass(frozen=True)
class MadeControl:
    """The control around a precision's neurons."""

    precision: str
    sha256: str
    """Of its RTLIL."""

    cost: ControlCost | None
    """None if the one that is there was made from the same."""

    def into(self, table: Technology) -> Technology:
        """The table with it."""
        if self.cost is None:
            return table
        datapath = replace(table.datapaths[self.precision], control=self.cost)
        return replace(
            table,
            datapaths={**table.datapaths, self.precision: datapath},
            provenance={**table.provenance, control_key(self.precision): self.sha256},
        )


Made = MadeNeuron | MadeControl


def neuron_key(neuron: Neuron) -> str:
    """Where a table's provenance says from which RTLIL a neuron was made."""
    return f"rtlil_sha256 {neuron.precision}"


def control_key(precision: str) -> str:
    """The same of a control."""
    return f"control_sha256 {precision}"


def make_neuron(say: Progress, library: bytes, options: Sequence[Neuron], given: Assumptions) -> MadeNeuron:
    """Synthesize the first of a precision's neurons that keeps the clock. A job; library: pickled."""
    cells = _library(library)
    neuron, netlist, timing = synthesize_first(options, cells, given.conditions, given.target_mhz, say)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(given.conditions.wire))
    compiled = compile_neuron(neuron, netlist, model, timing)
    cost = datapath_cost(neuron, netlist, timing, model, given.target_mhz, given.toggles_per_cycle)
    return MadeNeuron(neuron, cost, compiled)


def make_control(say: Progress, library: bytes, neuron: Neuron, there: str | None, given: Assumptions) -> MadeControl:
    """Synthesize what surrounds the neurons. A job; library: pickled. there: hash of the control that the table has."""
    accelerator = Accelerator(synapses=neuron.design.synapses)
    rtlil = control_rtlil(neuron.design, accelerator)
    sha256 = hashlib.sha256(rtlil.encode()).hexdigest()
    name = neuron.precision
    if sha256 == there:
        say(f"{name}: control kept, nothing has changed")
        return MadeControl(name, sha256, None)
    cost = control_cost(
        f"{name}, control",
        rtlil,
        neuron.design,
        _library(library),
        given.conditions,
        given.target_mhz,
        say,
        accelerator,
    )
    return MadeControl(name, sha256, cost)


def _library(pickled: bytes) -> Library:
    return pickle.loads(pickled)  # noqa: S301 (of the process that gave the job)


class Precisions:
    """Does what precisions need, on an executor; what is made goes to `keep` at once, whatever comes first."""

    def __init__(
        self,
        library: Library,
        given: Assumptions,
        executor: Executor | None,
        say: Progress,
        keep: Callable[[int, Made], None],
    ) -> None:
        """executor: started here; None does all in this process, one after another. keep: gets a precision's number."""
        self._library = Payload(pickle.dumps(library))
        self._given = given
        self._executor: Executor = InlineExecutor(say) if executor is None else executor
        self._is_far = executor is not None
        self._say = say
        self._keep = keep
        self._jobs: dict[str, tuple[int, Job]] = {}
        self._tried_again: set[str] = set()
        self._failures: dict[str, str] = {}
        self._next: Callable[[int, Neuron], str | None] = lambda _, __: None

    def make(
        self, neurons: Sequence[Sequence[Neuron] | Neuron], control_there: Callable[[int, Neuron], str | None]
    ) -> None:
        """Make the neurons, of those that are there only the control, and keep each as it is done.

        neurons: by precision the options to try, or the neuron that is there. control_there: hash of a precision's
        control in the table, asked for when its neuron is known.
        Raises HardwareError in one line, when all others are made, if one could not be.
        """
        self._next = control_there
        with self._executor:
            if self._is_far and self._executor.about:
                self._say(self._executor.about)
            for number, options in enumerate(neurons):
                if isinstance(options, Neuron):
                    self._submit_control(number, options)
                else:
                    self._submit(number, f"{options[0].precision}", make_neuron, tuple(options), self._given)
            while self._jobs:
                for message in self._executor.messages():
                    self._handle(message)
        if self._failures:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._failures.items())
            raise HardwareError(reasons)

    def _submit(self, number: int, key: str, function: Callable[..., Any], *arguments: Any) -> None:
        job = Job(key, function, (self._library, *arguments), priority=-number)
        self._jobs[key] = (number, job)
        self._executor.submit(job)

    def _submit_control(self, number: int, neuron: Neuron) -> None:
        if not self._given.with_control or neuron.element != "neuron":
            return
        key = f"{neuron.precision}, control"
        self._submit(number, key, make_control, neuron, self._next(number, neuron), self._given)

    def _handle(self, message: object) -> None:
        match message:
            case JobProgress(_, line):
                self._say(line)
            case WorkersNotice(line):
                self._say(line)
            case JobResult(key, made):
                number, _ = self._jobs.pop(key)
                self._keep(number, made)
                if isinstance(made, MadeNeuron):
                    self._submit_control(number, made.neuron)
            case JobLost(key, _) if key not in self._tried_again:
                self._tried_again.add(key)
                self._executor.submit(self._jobs[key][1])
            case JobFailure(key, error) | JobLost(key, error):
                del self._jobs[key]
                self._failures[key] = error
                self._say(f"{key}: failed: {error}")
            case _:
                pass
