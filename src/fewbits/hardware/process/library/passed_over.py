"""Groups of liberty files that the reader passes over, each with the rule by which that is harmless; others are told.

One table for all: what is in neither of the two below is named in a note of the table that is made of the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fewbits.hardware.process.library.liberty_syntax import Group

READ = frozenset(
    {
        "library", "cell", "pin", "bus", "bundle", "ff", "memory", "leakage_power", "timing", "internal_power",
        "cell_rise", "cell_fall", "rise_transition", "fall_transition", "rise_constraint", "fall_constraint",
        "power", "rise_power", "fall_power", "lu_table_template", "power_lut_template", "wire_load",
        "operating_conditions",
    }
)  # fmt: skip
"""Groups that are read, or whose presence decides what a cell is used for."""

_KIND = "says what a cell is; such cells are not mapped to"
_SCAN = "describes the cell in test mode; its use is told by the cell itself"
_CURRENT = "a current-source model: the delay and power tables beside it say the same at less detail"
_NOISE = "noise and electromigration take no part in area, delay or energy"
_VARIATION = "on-chip variation: nominal delays are taken, as for the shipped table"
_SUPPLY = "supplies: power groups of several are added, voltages are the library's"
_OTHER_CORNER = "figures at other conditions; those at the library's own are taken"
_CHECK = "checks of pulses and modes: the netlist has one clock and no such mode"
_MEMORY = "tells how a memory is organized; rows and bits come from `memory`"
_TEXT = "about how the file was made, or for other tools"
_LAYOUT = "layout: figures are before layout"
_TYPES = "types of buses; cells with buses are not mapped to, and a macro's bus counts as one pin"

HARMLESS: dict[str, str] = {
    **dict.fromkeys(("latch", "latch_bank", "statetable", "ff_bank", "clock_gating", "state"), _KIND),
    **dict.fromkeys(("test_cell", "scan_chain", "dft_signal"), _SCAN),
    **dict.fromkeys(
        (
            "output_current_rise", "output_current_fall", "vector", "receiver_capacitance",
            "receiver_capacitance1_rise",
            "receiver_capacitance1_fall", "receiver_capacitance2_rise", "receiver_capacitance2_fall",
            "receiver_capacitance_rise", "receiver_capacitance_fall", "compact_ccs_rise", "compact_ccs_fall",
            "compact_ccs_power", "compact_lut_template", "output_current_template", "base_curves", "dynamic_current",
            "switching_group", "pg_current", "leakage_current", "gate_leakage", "intrinsic_parasitic",
            "intrinsic_resistance", "intrinsic_capacitance", "total_capacitance", "lut_values", "pg_current_template",
            "ecsm_waveform", "ecsm_waveform_set", "ecsm_capacitance", "ecsm_capacitance_set",
            "receiver_capacitance_set",
            "normalized_driver_waveform", "sensitization", "pin_based_variation", "capacitance", "segment",
        ),
        _CURRENT,
    ),
    **dict.fromkeys(
        (
            "ccsn_first_stage", "ccsn_last_stage", "ccsn_prop_noise", "input_ccb", "output_ccb", "dc_current",
            "output_voltage_rise", "output_voltage_fall", "propagated_noise_low", "propagated_noise_high",
            "propagated_noise_height_high", "propagated_noise_height_low", "propagated_noise_width_high",
            "propagated_noise_width_low", "noise_immunity_high", "noise_immunity_low", "noise_immunity_above_high",
            "noise_immunity_below_low", "steady_state_current_high", "steady_state_current_low",
            "steady_state_current_tristate", "hyperbolic_noise_high", "hyperbolic_noise_low",
            "hyperbolic_noise_above_high", "hyperbolic_noise_below_low", "noise_lut_template", "iv_lut_template",
            "propagation_lut_template", "electromigration", "em_lut_template", "em_max_toggle_rate",
            "em_max_capacitance", "em_temp_degradation_factor", "electromigration_template",
        ),
        _NOISE,
    ),
    **dict.fromkeys(
        (
            "ocv_derate", "ocv_derate_factors", "ocv_table_template", "ocv_sigma_cell_rise", "ocv_sigma_cell_fall",
            "ocv_sigma_rise_transition", "ocv_sigma_fall_transition", "ocv_sigma_rise_constraint",
            "ocv_sigma_fall_constraint", "ocv_mean_shift_cell_rise", "ocv_mean_shift_cell_fall",
            "ocv_mean_shift_rise_transition", "ocv_mean_shift_fall_transition", "ocv_mean_shift_rise_constraint",
            "ocv_mean_shift_fall_constraint", "ocv_skewness_cell_rise", "ocv_skewness_cell_fall",
            "ocv_skewness_rise_transition", "ocv_skewness_fall_transition", "ocv_skewness_rise_constraint",
            "ocv_skewness_fall_constraint", "ocv_std_dev_cell_rise", "ocv_std_dev_cell_fall",
            "ocv_std_dev_rise_transition", "ocv_std_dev_fall_transition", "ocv_std_dev_rise_constraint",
            "ocv_std_dev_fall_constraint", "ocv_sigma_retaining_rise", "ocv_sigma_retaining_fall",
            "timing_based_variation",
            "va_parameters", "va_compact_ccs_rise", "va_compact_ccs_fall", "va_rise_constraint", "va_fall_constraint",
        ),
        _VARIATION,
    ),
    **dict.fromkeys(
        (
            "pg_pin", "power_supply", "rail_connection", "input_voltage", "output_voltage", "voltage_state_range",
            "power_gating_condition", "retention_condition", "level_shifter_enable",
        ),
        _SUPPLY,
    ),
    **dict.fromkeys(("scaled_cell", "scaling_factors", "domain", "power_down", "timing_range"), _OTHER_CORNER),
    **dict.fromkeys(
        (
            "min_pulse_width", "minimum_period", "mode_definition", "mode_value", "generated_clock", "clock_pin",
            "retaining_rise", "retaining_fall", "retain_rise_slew", "retain_fall_slew", "cell_degradation",
            "max_cap", "max_trans", "max_transition", "max_capacitance", "pulse_clock", "rise_mcw", "fall_mcw",
            "maxcap_lut_template", "maxtrans_lut_template", "cell_degradation_template",
            "tlatch", "steady_state", "interface_timing", "min_clock_tree_path", "max_clock_tree_path",
        ),
        _CHECK,
    ),
    **dict.fromkeys(("memory_read", "memory_write", "bist", "memory_operation"), _MEMORY),
    **dict.fromkeys(("type", "bus_type", "char_config_type"), _TYPES),
    **dict.fromkeys(
        (
            "char_config", "user_parameters", "sensitization_master", "soft_error_rate", "soft_error_rate_template",
            "dc_current_template", "fpga_isd", "part", "speed_grade", "define_group", "cell_em_template", "model",
            "compact_ccs_template", "timing_model_template", "power_poly_template", "poly_template", "lut_template",
        ),
        _TEXT,
    ),
    **dict.fromkeys(
        ("routing_track", "wire_load_selection", "wire_load_table", "functional_yield_metric", "preferred_cell"),
        _LAYOUT,
    ),
}  # fmt: skip
"""Groups that are passed over, and why no figure is wrong for it."""

_TIMING_READ = frozenset(
    {"combinational", "combinational_rise", "combinational_fall", "rising_edge", "falling_edge"}
    | {"setup_rising", "setup_falling"}
)
_OTHER_TIMING = re.compile(
    r"(hold|recovery|removal|skew|non_seq_(setup|hold)|nochange_(low|high))_(low|high|rising|falling)"
    r"|three_state_(en|dis)able(_rise|_fall)?|clear|preset|min_pulse_width|minimum_period|retaining_time"
    r"|(min|max)_clock_tree_path|clock_gating_\w+|retain\w*"
)
"""Checks and arcs of pins that a mapped netlist ties or does not have (holds are met by layout; set and reset are tied,
three-state outputs not used)."""


def unknown_groups(library: Group) -> Iterator[tuple[str, str]]:
    """(cell, `group foo`) for groups and timing types that are neither read nor harmless; "" for the header's."""
    own = {arguments[0] for arguments in library.lists.get("define_group", []) if arguments}
    known = READ | HARMLESS.keys() | own
    for group in library.groups:
        cell = " ".join(group.arguments[:1]) if group.name == "cell" else ""
        yield from ((cell, what) for what in dict.fromkeys(_unknown(group, known)))


def _unknown(top: Group, known: frozenset[str]) -> Iterator[str]:
    """Of a group and all below it, but not of what stands inside one that is passed over."""
    waiting = [top]
    while waiting:
        group = waiting.pop()
        if group.name not in known:
            yield f"group {group.name[:40]}"
        kind = group.attributes.get("timing_type", "combinational") if group.name == "timing" else "combinational"
        if kind not in _TIMING_READ and not _OTHER_TIMING.fullmatch(kind):
            yield f"timing_type {kind[:40]}"
        if group.name in READ:
            waiting.extend(group.groups)
