"""What keeps a layer from fewer cycles, told by where its cycles go."""

from __future__ import annotations

from fewbits.hardware.dataflow.plan import LayerSchedule

BANDWIDTH = "off-chip bandwidth"
MULTIPLIERS = "multipliers"
"""Most cycles' worth of multipliers do products that the layer needs: only more of them would help."""

IDLE_MULTIPLIERS = "idle multipliers"
"""The layer's sizes do not fill the array: most of it multiplies nothing that is needed."""

STALLS = "stalls"
FILLING = "filling and draining"
SET_UP = "set-up"
NO_PRODUCTS = "reading values"
"""Of a layer without products: a row is read in most cycles."""


def limit_of(layer: LayerSchedule, products_per_cycle: int) -> str:
    """What takes most of the layer's cycles; transfers where they stall.

    The dataflow's own words (`LayerSchedule.limit`) stand for stalls on the chip, of which it knows more, and for
    layers without products.
    """
    if layer.transfer_stall_cycles:
        return BANDWIDTH
    multiplying = layer.products / products_per_cycle
    busy = {MULTIPLIERS: multiplying, IDLE_MULTIPLIERS: layer.busy_cycles - multiplying}
    if not layer.products:
        busy = {NO_PRODUCTS: layer.busy_cycles}
    cycles = {**busy, STALLS: layer.stall_cycles, FILLING: layer.fill_cycles, SET_UP: layer.setup_cycles}
    most = max(cycles, key=lambda name: cycles[name])
    return layer.limit if layer.limit and most in (STALLS, NO_PRODUCTS) else most
