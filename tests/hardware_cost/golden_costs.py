"""What `fewbits cost --json` printed of `diannao-16x16` before accelerators were described by files; see the test.

Usage: python tests/hardware_cost/golden_costs.py FOLDER writes `diannao_16x16.json` anew from the folder `costs` that
`scripts/same_figures.py` writes. The kept file is of commit 13fba45.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "diannao_16x16.json"

NETWORKS = ("lenet", "resnet20")
PRECISIONS = ("float32", "fixed32", "fixed16", "fixed8", "fixed4", "pow2-6/fixed16", "binary/fixed16")

HEADLINES = ("cycles", "clock_mhz", "memory_kib", "area_mm2", "power_mw", "energy_uj", "leakage_uj")
"""Kept as they are printed, so that a difference can be read; the digest is of everything."""


def summary(printed: dict[str, Any]) -> dict[str, Any]:
    """The headlines, cycles and energy of each layer, the keys and a digest of all that they hold."""
    known = {"keys": sorted(printed), "layer_keys": sorted(printed["layers"][0])}
    return restricted(printed, known)


def restricted(printed: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The same, of the keys that are known: what is printed may grow."""
    layers = [{key: layer[key] for key in known["layer_keys"]} for layer in printed["layers"]]
    whole = {key: printed[key] for key in known["keys"]} | {"layers": layers}
    text = json.dumps(whole, sort_keys=True)
    return {
        **{key: printed[key] for key in HEADLINES},
        "layers": {layer["name"]: [layer["cycles"], layer["energy_uj"]] for layer in layers},
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "keys": known["keys"],
        "layer_keys": known["layer_keys"],
    }


def main(folder: Path) -> None:
    """Write the golden file."""
    found = {
        name: {one: summary(of[one][0]) for one in PRECISIONS}
        for name in NETWORKS
        for of in [json.loads((folder / "costs" / f"{name}.json").read_text())]
    }
    keys = {json.dumps([one.pop("keys"), one.pop("layer_keys")]) for each in found.values() for one in each.values()}
    ((known, layer_known),) = [json.loads(one) for one in keys]
    text = json.dumps({"keys": known, "layer_keys": layer_known, "costs": found}, indent=None)
    GOLDEN.write_text(text.replace('}, "', '},\n"') + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
