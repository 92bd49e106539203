"""What networks lose by quantization, in pictures: the parts of benchmarks/quality.py."""
