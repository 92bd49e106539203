"""`python -m tvmsr`."""

from tvmsr.cli.main import run

run()
