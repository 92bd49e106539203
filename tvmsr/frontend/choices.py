"""What a checkpoint cannot tell: options that the user gives, defaults of families, and the record of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tvmsr.errors import UsageError


@dataclass(frozen=True)
class Overrides:
    """What the user said about a network; None: nothing."""

    family: str | None = None
    scale: int | None = None
    value_range: float | None = None
    colour: str | None = None
    slope: float | None = None
    activation: str | None = None
    residual_scale: float | None = None
    licence: str | None = None  # of the weights; goes into the manifest


#: How the options are called on the command line.
FLAGS = {"value_range": "--range", "residual_scale": "--residual-scale"}


@dataclass(eq=False)
class Choices:
    """Answers questions about a network from the options, else from a default, which it records as a sentence."""

    options: Overrides
    source: str
    assumed: list[str] = field(default_factory=list)

    def given(self, question: str) -> Any:
        """What the user said; None: nothing."""
        return getattr(self.options, question)

    def take(self, question: str, default: Any, because: str) -> Any:
        """The user's answer, or the default with a record of it."""
        answer = self.given(question)
        if answer is None:
            self.assumed.append(
                f"{question.replace('_', ' ')} {_text(default)} ({because}; {flag(question)} changes it)"
            )
            return default
        return answer

    def ask(self, question: str, possible: str, because: str) -> Any:
        """The user's answer; without one the work stops: two conventions fit, and a guess may be wrong."""
        answer = self.given(question)
        if answer is None:
            raise UsageError(f"{self.source}: {because}; say which with {flag(question)} ({possible})")
        return answer


def flag(question: str) -> str:
    """The command-line option of a question."""
    return FLAGS.get(question, "--" + question.replace("_", "-"))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(getattr(value, "value", value))
