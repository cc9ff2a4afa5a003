"""Instances by name of modules that are made once: Amaranth would elaborate each instance anew, and yosys map it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Member, Out


def instance(m: Module, unit: str, ports: Mapping[str, Member], name: str, **inputs: Value) -> dict[str, Signal]:
    """Add an instance of the module `unit`, a component of these ports made by `unit_rtlil`; its outputs by name."""
    outputs = {
        port: Signal(member.shape, name=f"{name}_{port}") for port, member in ports.items() if member.flow == Out
    }
    wired = [("i", "clk", ClockSignal())]
    wired += [("i", port, value) for port, value in inputs.items()]
    wired += [("o", port, signal) for port, signal in outputs.items()]
    m.submodules[name] = Instance(unit, *wired)
    return outputs


def component_rtlil(component: Component, name: str) -> str:
    """A component and the modules below it as RTLIL, in a clock domain without reset."""
    domain = ClockDomain("sync", reset_less=True)
    fragment = Fragment.get(component, None)
    fragment.add_domains(domain)
    ports = [domain.clk, *(getattr(component, port) for port in component.signature.members)]
    return rtlil.convert(fragment, name=name, ports=ports, emit_src=False)


def unit_rtlil(component: Component, name: str) -> str:
    """The same for a module that is no design's top."""
    return component_rtlil(component, name).replace("attribute \\top 1\n", "")


def wire(m: Module, outer: Component, inner: Component, names: Iterable[str]) -> None:
    """Connect ports of the same name."""
    for name in names:
        if inner.signature.members[name].flow == In:
            m.d.comb += getattr(inner, name).eq(getattr(outer, name))
        else:
            m.d.comb += getattr(outer, name).eq(getattr(inner, name))
