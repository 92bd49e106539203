"""Checkpoint files -> arrays by key. Reading a file never runs code that the file brings."""
