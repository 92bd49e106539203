"""Fixtures of tests/artifact that are used here too."""

from tests.artifact.conftest import fake, triple

__all__ = ["fake", "triple"]
