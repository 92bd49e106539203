"""One row an operation: shape rule, FP32 reference, integer reference, lowering. All but `in_torch` need numpy only."""
