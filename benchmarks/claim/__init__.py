"""INT8 beside FP32, for benchmarks/int8_or_fp32.py."""
