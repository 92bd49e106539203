"""Files broken on purpose, and what becomes of them: each gets a result or one line of error, soon.

`python -m tests.fuzz KIND --count 2000 --seed 0` runs cases of a kind (`tests.fuzz.kinds`); case INDEX of a SEED is the
same wherever it is made: `--index INDEX --keep FOLDER` writes it down and runs it alone.
"""
