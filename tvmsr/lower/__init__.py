"""IntegerGraph -> Program -> C tables: what is one kernel call, what is stored and where. Begin at pipeline.py."""
