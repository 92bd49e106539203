"""What benchmarks/adaptive.py is made of."""
