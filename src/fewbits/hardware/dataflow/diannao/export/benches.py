"""The self-checking test benches of neuron and accelerator, to be filled in by `str.format`."""

from __future__ import annotations

from collections.abc import Mapping

NEURON_BENCH = """// Self-checking test bench: feeds golden vectors to the neuron and compares what comes out.
`ifdef VERILATOR
`ifndef VERILATOR_TIMING
/* verilator timing_off */  // linting needs no delays; to run it: verilator --binary --timing
`endif
`endif
{many_tops}module {prefix}_neuron_bench;
  localparam CHUNKS = {chunks}, CYCLES = {cycles};
  reg clk = 0, rst = 1;
  reg [{weights} - 1:0] weights_at [0:CYCLES - 1];
  reg [{inputs} - 1:0] inputs_at [0:CYCLES - 1];
  reg [{total} - 1:0] bias_at [0:CYCLES - 1];
  reg [1:0] control_at [0:CYCLES - 1];
  reg [{total} - 1:0] total_at [0:CHUNKS - 1];
  reg [{output} - 1:0] output_at [0:CHUNKS - 1];
  reg [{weights} - 1:0] weights;
  reg [{inputs} - 1:0] inputs;
  reg [{total} - 1:0] bias;
  reg first, last;
  wire [{output} - 1:0] output_value;
  wire [{total} - 1:0] total;
  wire valid;
  integer cycle, errors = 0, checked = 0;
  {prefix}_neuron dut(.clk(clk), .rst(rst), .weights(weights), .inputs(inputs), .first(first), .last(last), .bias(bias),
             .shift({shift_bits}'d{shift}), .relu(1'd{relu}), {settings}.output_value(output_value), .valid(valid),
             .total(total));
  initial begin
    $readmemh("weights.hex", weights_at);
    $readmemh("inputs.hex", inputs_at);
    $readmemh("bias.hex", bias_at);
    $readmemh("control.hex", control_at);
    $readmemh("total.hex", total_at);
    $readmemh("output.hex", output_at);
    #1 clk = 1;
    #2 clk = 0;
    rst = 0;
    for (cycle = 0; cycle < CYCLES; cycle = cycle + 1) begin
      weights = weights_at[cycle];
      inputs = inputs_at[cycle];
      bias = bias_at[cycle];
      {{last, first}} = control_at[cycle];
      #1;
      if (cycle >= {accumulator_delay} && cycle - {accumulator_delay} < CHUNKS)
        if (total !== total_at[cycle - {accumulator_delay}]) errors = errors + 1;
      if (cycle < {stages} && valid !== 1'b0) errors = errors + 1;  // after the reset
      if (cycle >= {stages} && cycle - {stages} < CHUNKS) begin
        checked = checked + 1;
        if (valid !== 1'b1 || output_value !== output_at[cycle - {stages}]) errors = errors + 1;
      end
      #1 clk = 1;
      #2 clk = 0;
    end
    if (errors == 0 && checked == CHUNKS) $display("PASS: %0d chunks", checked);
    else $display("FAIL: %0d errors in %0d chunks", errors, checked);
    $finish;
  end
endmodule
"""

ACCELERATOR_BENCH = """// Self-checking test bench: runs a network on one image; sums and cycles must be golden.
`ifdef VERILATOR
`ifndef VERILATOR_TIMING
/* verilator timing_off */  // linting needs no delays; to run it: verilator --binary --timing
`endif
`endif
{many_tops}module {prefix}_accelerator_bench;
  localparam LATENCY = {latency};
  localparam LANES = {lanes}, NEURONS = {neurons}, CODE = {code}, TOTAL = {total};
  reg clk = 0, rst = 0, start = 1;
  reg [{word} - 1:0] words [0:{program_rows} - 1];
  reg [{weights} - 1:0] weights [0:{weight_rows} - 1];
  reg [NEURONS * TOTAL - 1:0] biases [0:{bias_rows} - 1];
  reg [CODE - 1:0] values [0:{values} - 1];
  reg [NEURONS * TOTAL - 1:0] results [0:{result_rows} - 1];
  // Answers of the memory, on their way for LATENCY cycles.
  reg [{word} - 1:0] program_answer [0:LATENCY];
  reg [{weights} - 1:0] weight_answer [0:LATENCY];
  reg [NEURONS * TOTAL - 1:0] bias_answer [0:LATENCY];
  reg [LANES * CODE - 1:0] load_answer [0:LATENCY];
  wire done, program_request, weight_request, bias_request, store_valid, result_valid{partial_wire};
  wire [{address} - 1:0] program_address, weight_address, bias_address, store_address, store_stride;
  wire [LANES - 1:0] load_request;
  wire [32 * LANES - 1:0] load_address;
  wire [NEURONS - 1:0] store_mask, result_mask;
  wire [NEURONS * CODE - 1:0] store_data;
  wire [NEURONS * TOTAL - 1:0] result_data;
  wire [5:0] accesses;
  integer i, lane, cycles = 0, given = 0, errors = 0;
  {prefix}_accelerator dut(
    .clk(clk), .rst(rst), .start(start), .done(done),
    .program_request(program_request), .program_address(program_address), .program_word(program_answer[LATENCY]),
    .load_request(load_request), .load_address(load_address), .load_data(load_answer[LATENCY]),
    .weight_request(weight_request), .weight_address(weight_address), .weight_data(weight_answer[LATENCY]),
    .bias_request(bias_request), .bias_address(bias_address), .bias_data(bias_answer[LATENCY]),
    .store_valid(store_valid), .store_address(store_address), .store_stride(store_stride), .store_mask(store_mask),
    .store_data(store_data), .result_valid(result_valid), {partial_port}.result_mask(result_mask),
    .result_data(result_data), .accesses(accesses));
  task check_result;
    for (lane = 0; lane < NEURONS; lane = lane + 1)
      if (result_mask[lane] && result_data[lane * TOTAL +: TOTAL] !== results[given][lane * TOTAL +: TOTAL])
        errors = errors + 1;
  endtask
  initial begin
    $readmemh("program.hex", words);
    $readmemh("accelerator_weights.hex", weights);
    $readmemh("biases.hex", biases);
    $readmemh("image.hex", values);
    $readmemh("results.hex", results);
    rst = 1;
    #1 clk = 1;
    #2 clk = 0;
    rst = 0;
    #1 clk = 1;
    #2 clk = 0;
    start = 0;
    #1;
    while (!done && cycles < {limit}) begin
      cycles = cycles + 1;
      for (i = LATENCY; i > 0; i = i - 1) begin
        program_answer[i] = program_answer[i - 1];
        weight_answer[i] = weight_answer[i - 1];
        bias_answer[i] = bias_answer[i - 1];
        load_answer[i] = load_answer[i - 1];
      end
      program_answer[0] = program_request ? words[{{{pad}'d0, program_address}}] : 0;
      weight_answer[0] = weight_request ? weights[{{{pad}'d0, weight_address}}] : 0;
      bias_answer[0] = bias_request ? biases[{{{pad}'d0, bias_address}}] : 0;
      load_answer[0] = 0;
      for (lane = 0; lane < LANES; lane = lane + 1)
        if (load_request[lane]) load_answer[0][lane * CODE +: CODE] = values[load_address[lane * 32 +: 32]];
      if (store_valid)
        for (lane = 0; lane < NEURONS; lane = lane + 1)
          if (store_mask[lane])
            values[{{{pad}'d0, store_address}} + lane * {{{pad}'d0, store_stride}}] = store_data[lane * CODE +: CODE];
{partial_store}      if (result_valid) begin
        check_result;
        given = given + 1;
      end
      #1 clk = 1;
      #2 clk = 0;
      #1;
    end
    if (errors == 0 && given == {result_rows} && cycles == {cycles}) $display("PASS: %0d cycles", cycles);
    else $display("FAIL: %0d errors, %0d rows, %0d cycles", errors, given, cycles);
    $finish;
  end
endmodule
"""

PARTIAL_SUMS = {
    "partial_wire": ", partial_valid",
    "partial_port": ".partial_valid(partial_valid), ",
    "partial_store": "      if (partial_valid) biases[{{{pad}'d0, store_address}}] = result_data;\n",
}
"""What the accelerator's bench has where sums leave to be continued later; `partial_store` is filled in itself."""

NO_PARTIAL_SUMS = dict.fromkeys(PARTIAL_SUMS, "")
"""The same where they do not."""


def accelerator_bench(fields: Mapping[str, object], partial_sums: Mapping[str, str]) -> str:
    """The bench of a whole accelerator. partial_sums: PARTIAL_SUMS or NO_PARTIAL_SUMS."""
    filled = {name: text.format(**fields) for name, text in partial_sums.items()}
    return ACCELERATOR_BENCH.format(**fields, **filled)
