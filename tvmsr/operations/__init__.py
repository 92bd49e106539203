"""One row an operation: shape rule, FP32 reference, integer reference, lowering. Needs numpy only."""
