"""What the pins of an SRAM macro are for: the names that public families give them, and a user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewbits.hardware.process.library.boolean import truth_table, variables
from fewbits.hardware.process.library.liberty import Cell

_ACTIVE: Mapping[str, tuple[bool, bool]] = {
    "enable": (True, True),
    "write_enable": (False, True),
    "read_enable": (True, False),
    "output_enable": (True, False),
    "write_mask": (False, True),
    "data_in": (False, False),
}
"""Roles, as far as energies depend on them: whether active in a read, and in a write. Data in may be anything."""

CLOCK = "clock"
"""The role of pins that liberty marks by `clock : true`."""

ROLES = (CLOCK, *_ACTIVE)
"""What `[pins]` of a macro table may give names for. Addresses may be anything, data out follow the clock."""

FAMILIES: Mapping[str, Mapping[str, str]] = {
    "IHP RM_IHPSG13": {
        "enable": "MEN", "write_enable": "WEN", "read_enable": "REN", "write_mask": "BM", "data_in": "DIN"},
    "GlobalFoundries gf180mcu_fd_ip_sram": {
        "enable": "!CEN", "write_enable": "!GWEN", "write_mask": "!WEN", "data_in": "D"},
    "ASAP7 SRAM1RW and SRAM2RW": {
        "enable": "!CSB", "write_enable": "!WEB", "output_enable": "!OEB", "data_in": "I"},
    "OpenRAM (sky130_sram, FreePDK45)": {
        "enable": "!csb", "write_enable": "!web", "write_mask": "wmask", "data_in": "din"},
    "FakeRAM": {
        "enable": "ce_in", "write_enable": "we_in", "write_mask": "w_mask_in", "data_in": "wd_in"},
    "FakeRAM's register files": {
        "write_enable": "wen_in", "read_enable": "ren_in", "write_mask": "wmask_in", "data_in": "wdata_in"},
    "SRAM22": {
        "enable": "ce", "write_enable": "we", "write_mask": "wmask", "data_in": "din"},
    "DFFRAM": {
        "enable": "EN", "write_enable": "WE", "data_in": "Di"},
}  # fmt: skip
"""Pin names by role, without a port's letter in front or number behind, large or small; `!` where low is active. From
the files of each: IHP-Open-PDK, google/globalfoundries-pdk-ip-gf180mcu_fd_ip_sram, hammer-vlsi 1.2.0,
VLSIDA/sky130_sram_macros, OpenROAD-flow-scripts (nangate45, asap7), rahulk29/sram22_sky130_macros, AUCOHL/DFFRAM."""

_TELLING = ("enable", "write_enable", "read_enable", "output_enable")
"""Roles that tell a family: a macro has all of these that its family has."""

_NAME = re.compile(r"\\?[A-Za-z_][\w\[\]]*")
_PORT = re.compile(r"(?:[A-Z]_)?(.+?)\d*")


@dataclass(frozen=True)
class PinRoles:
    """The roles of one macro's pins."""

    names: Mapping[str, Sequence[str]]
    """Names by role, `!` where low is active, as in FAMILIES."""

    def of(self, pin: str) -> tuple[str, bool] | None:
        """A pin's role and whether high is active; None where it is not known. pin: as written, such as `A_WEN[3]`."""
        spellings = {pin.split("[")[0].lstrip("\\").lower(), plain(pin)}
        for role, names in self.names.items():
            for name in names:
                if name.lstrip("!").lower() in spellings:
                    return role, not name.startswith("!")
        return None

    def unknown(self, when: str) -> list[str]:
        """Names in a `when` that have no role."""
        return [name for name in variables(when) if self.of(name) is None]

    def selects(self, when: str, access: str) -> bool:
        """Whether a `when` holds in each cycle with an access, "read" or "write", whatever pins without a role do."""
        column = ("read", "write").index(access)

        def settled(match: re.Match[str]) -> str:
            found = self.of(match[0])
            return match[0] if found is None else str(int(_ACTIVE[found[0]][column] == found[1]))

        text = _NAME.sub(settled, when)
        return bool(truth_table(text, variables(text)).all())


def plain(pin: str) -> str:
    """A pin's name in small letters, without an index, a port's letter in front (`A_`) and its number behind."""
    name = pin.split("[")[0].lstrip("\\")
    found = _PORT.fullmatch(name)
    return (found[1] if found else name).lower()


def roles_of(cell: Cell, own: Mapping[str, Sequence[str]]) -> PinRoles:
    """The roles of a macro's pins: the user's own names, then those of the first family that it may be of.

    own: names by role, from the `[pins]` of a macro table.
    """
    inputs = [name for name, pin in cell.pins.items() if pin.direction == "input"]
    named = [name for power in cell.powers if power.when for name in variables(power.when)]
    present = {plain(name) for name in (*inputs, *named)}
    nothing: Mapping[str, str] = {}
    family = next((one for one in FAMILIES.values() if _is_of(one, present)), nothing)
    return PinRoles(
        {role: (*own.get(role, ()), *((family[role],) if role in family else ())) for role in _ACTIVE},
    )


def _is_of(family: Mapping[str, str], present: set[str]) -> bool:
    """Whether a macro may be of a family.

    One with a port for writes and one for reads needs no write enable beside an enable, as OpenRAM's `1r1w`.
    """
    telling = [role for role in _TELLING if role in family]
    missing = [role for role in telling if family[role].lstrip("!").lower() not in present]
    apart = missing == ["write_enable"] and "enable" in telling and family["data_in"].lower() in present
    return not missing or apart
