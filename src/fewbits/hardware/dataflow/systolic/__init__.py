"""The dataflow of a weight-stationary systolic array: weights stay in its elements, inputs and sums move through."""
