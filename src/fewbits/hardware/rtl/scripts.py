"""Scripts beside exported Verilog: synthesis by Yosys, timing by OpenSTA; `str.format` fills in the first."""

from __future__ import annotations

SYNTHESIS = """#!/bin/sh
# sh synthesize.sh LIBERTY [TOP]: map TOP to the cells of a liberty file, then time it at its constraints.
# Yosys is `yosys`, or what YOSYS names; OpenSTA is `sta`, or what STA names, and is left out where it is not installed.
set -eu
liberty=${{1:?give a liberty file of standard cells}}
top=${{2:-{first}}}
case $top in
{cases}
  *) echo "synthesize.sh: no module $top here" >&2; exit 2 ;;
esac
"${{YOSYS:-yosys}}" -q -p "
  read_verilog -lib {memories}
  read_verilog $files
  setattr -mod -set keep_hierarchy 1 {kept}
  synth -flatten -noabc -booth -top $top
  dfflibmap -liberty $liberty
  opt -fast
  abc -liberty $liberty -D {target_ps} -script +{mapping}
  opt_clean -purge
  check
  tee -o ${{top}}_area.txt stat -liberty $liberty
  write_verilog -noattr ${{top}}_synthesized.v"
cat ${{top}}_area.txt
if command -v "${{STA:-sta}}" > /dev/null; then
  LIBERTY=$liberty TOP=$top SDC=$sdc "${{STA:-sta}}" -no_splash -exit timing.tcl
fi
"""

TIMING = """# Timing of a synthesized module by OpenSTA; synthesize.sh sets LIBERTY, TOP and SDC.
read_liberty $::env(LIBERTY)
read_verilog $::env(TOP)_synthesized.v
link_design $::env(TOP)
read_sdc $::env(SDC)
report_checks -path_delay max
report_worst_slack
report_tns
"""
