"""What the commands print: results to standard output, notes and progress to standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tvmsr.commands.progress import Progress as Report

#: Columns of what is no terminal.
ENDLESS = 10_000
#: Of progress: a line with all that it may say fits into 80 columns.
BAR_WIDTH = 24

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(data: dict[str, Any]) -> None:
    """The machine-readable form of a result."""
    out.out(json.dumps(data, indent=2, default=str))


def say(text: str) -> None:
    out.print(text, markup=False)


def notes(lines: Iterable[str]) -> None:
    """What was assumed and what the user should know."""
    for line in lines:
        err.print(f"note: {line}", style="yellow", markup=False)


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Label and value in two columns."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, value in rows:
        table.add_row(Text(label), Text(value, overflow="fold"))
    _table(table)


def rows(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table with a header; numbers are set flush right by their look."""
    lines = [list(line) for line in lines]
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(lines) and all(_is_number(line[i]) for line in lines)
        table.add_column(column, justify="right" if numeric else "left")
    for line in lines:
        table.add_row(*(Text(cell, overflow="fold") for cell in line))
    _table(table)


def _table(table: Table) -> None:
    """Whole cells: folded to the width of a terminal, and one line a row where a file or a pipe reads them."""
    (out if out.is_terminal else Console(width=ENDLESS, highlight=False)).print(table)


def _is_number(text: str) -> bool:
    """A "-" stands for a figure that is not known."""
    return text == "-" or text.replace(".", "").replace(",", "").replace("-", "").isdigit()


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar a stage on standard error, gone when the work is done; silent where that is not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        MofNCompleteColumn(),
        TextColumn("{task.fields[estimate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        yield _Bars(bars)


class _Bars:
    """Bars by stage; that of the latest says, too, what the best plan so far loses (a commands.progress.Estimating)."""

    def __init__(self, bars: Progress) -> None:
        self._bars, self._estimate = bars, ""
        self._tasks: dict[str, TaskID] = {}
        self._latest: TaskID | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, estimate="")
        self._bars.update(self._tasks[stage], completed=done, total=total)
        if self._latest != self._tasks[stage]:
            self._say("")
            self._latest = self._tasks[stage]
            self._say(self._estimate)

    def estimate(self, drop: float | None) -> None:
        self._estimate = "" if drop is None else f"drop about {drop:.2f} dB so far"
        self._say(self._estimate)

    def _say(self, words: str) -> None:
        if self._latest is not None:
            self._bars.update(self._latest, estimate=words, refresh=True)
