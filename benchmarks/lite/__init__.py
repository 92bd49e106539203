"""Networks quantized by the field's tools and run by LiteRT, for benchmarks/litert.py."""
