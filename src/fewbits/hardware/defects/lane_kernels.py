"""The compiled loop of defective neurons: a netlist in many lanes, cycle by cycle."""

from __future__ import annotations

import numpy as np

from fewbits.compiled import compiled
from fewbits.hardware.activity.kernels import XOR


@compiled  # pragma: no cover (runs as machine code)
def run_lanes(  # noqa: C901 - one loop, compiled
    kind, a, b, out, invert_a, invert_b, invert_out, r_kind, r_a, r_b, r_out, r_invert_a, r_invert_b, r_invert_out,
    values, taken, shared_nets, shared, own_nets, own, watched, seen_in, seen,
):  # fmt: skip
    """Set ports, settle, look, clock: for each cycle."""
    width = values.shape[1]
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    found = 0
    for cycle in range(len(seen_in)):
        for k in range(len(shared_nets)):
            values[shared_nets[k]] = ones if shared[cycle, k] else np.uint64(0)
        for k in range(len(own_nets)):
            values[own_nets[k]] = own[cycle, k]
        for i in range(len(kind)):
            x, y, z = a[i], b[i], out[i]
            mask_a, mask_b, mask_out = invert_a[i], invert_b[i], invert_out[i]
            if kind[i] == XOR:
                for w in range(width):
                    values[z, w] = values[x, w] ^ values[y, w] ^ mask_a ^ mask_b ^ mask_out
            else:
                for w in range(width):
                    values[z, w] = ((values[x, w] ^ mask_a) & (values[y, w] ^ mask_b)) ^ mask_out
        if seen_in[cycle]:
            for k in range(len(watched)):
                seen[found, k] = values[watched[k]]
            found += 1
        for i in range(len(r_kind)):
            for w in range(width):
                taken[i, w] = values[r_a[i], w] ^ r_invert_a[i] ^ r_invert_out[i]
        for i in range(len(r_kind)):
            values[r_out[i]] = taken[i]
