"""The controller: fetches descriptors and runs one layer after another; and what parts ask of a descriptor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.opcodes import Opcode
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS, Layout
from fewbits.hardware.rtl.bit_heap import delayed_flag


def settings_of(fields: Layout, record: Value) -> dict[str, Value]:
    """The fields of a descriptor by name."""
    return {
        name: record[bit : bit + field.bits].as_signed() if field.signed else record[bit : bit + field.bits]
        for name, (bit, field) in fields.places.items()
    }


def asks(operation: Value, found: Sequence[Opcode]) -> Value:
    """Whether the field `operation` holds one of some opcodes: those that a part of the circuit serves."""
    return reduce(or_, [operation == opcode.code for opcode in found]) if found else Const(0, 1)


def asks_none(operation: Value, found: Sequence[Opcode]) -> Value:
    """Whether it holds another one."""
    return reduce(and_, [operation != opcode.code for opcode in found])


class Controller(Component):
    """Fetches the descriptor of a layer word by word, starts the layer, waits until all of it is stored."""

    def __init__(self, fields: Layout, latency: int) -> None:
        self.fields, self.latency = fields, latency
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "program_request": Out(1),
                "program_address": Out(ADDRESS_BITS),
                "program_word": In(WORD_BITS),
                "settings": Out(self.fields.bits),
                "layer_start": Out(1),
                "layer_finished": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Idle, requesting words, waiting for the last of them, running a layer."""
        m = Module()
        words = self.fields.words
        record = Signal(words * WORD_BITS, reset_less=True)
        left, address = Signal(range(words + 1)), Signal(ADDRESS_BITS, reset_less=True)
        request, idle = Signal(), Signal(init=1)
        m.d.comb += [
            request.eq(left != 0),
            self.program_request.eq(request),
            self.program_address.eq(address),
            self.settings.eq(record[: self.fields.bits]),
            self.done.eq(idle),
        ]
        with m.If(request):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        arrives = delayed_flag(m, request, self.latency, "arrives")
        with m.If(arrives):
            m.d.sync += record.eq(Cat(record[WORD_BITS:], self.program_word))
        m.d.comb += self.layer_start.eq(delayed_flag(m, left == 1, self.latency + 1, "whole"))
        is_last = settings_of(self.fields, self.settings)["is_last"]
        with m.If(idle & self.start):
            m.d.sync += [idle.eq(0), address.eq(0), left.eq(words)]
        with m.If(self.layer_finished):
            m.d.sync += [idle.eq(is_last), left.eq(Mux(is_last, 0, words))]
        return m
