"""Puts a report together: what each artifact is, and what each makes of the pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tvmsr
from tvmsr.reporting.columns import Artifact, Bicubic, Column, Exact
from tvmsr.reporting.facts import BICUBIC, FP32, ORIGINAL, Report, Source, Variant
from tvmsr.reporting.gather import Bench, gathered
from tvmsr.reporting.layers import Saturation, average_bits, choices_of, choosing, made_of, tried
from tvmsr.reporting.words import plain

if TYPE_CHECKING:
    from tvmsr.commands.progress import Progress
    from tvmsr.devices import Here, HereRunner
    from tvmsr.evaluation.dataset import Pairs
    from tvmsr.evaluation.metrics import Protocol
    from tvmsr.graph.model import Model
    from tvmsr.reporting.subjects import Subject

#: Pictures that saturation is looked for on, and LR pixels a side of their middles.
LOOKED_AT, LOOKED_SIDE = 4, 48


@dataclass(frozen=True, eq=False)
class Making:
    """network: None where FP32 is not known. data: the name of the folder."""

    subjects: tuple[Subject, ...]
    runners: tuple[HereRunner, ...]
    network: Model | None
    pairs: Pairs
    measure: Protocol
    data: str

    def report(self, here: Here, command: str, progress: Progress) -> Report:
        from tvmsr.devices.health import doubts, look

        columns = self._columns()
        own = tuple(f"v{number}" for number in range(len(self.subjects)))
        against = FP32 if self.network is not None else ORIGINAL
        before = look(here.files, time.sleep)
        bench = Bench(columns, self.pairs.scale, self.measure, own, against)
        pictures = gathered(bench, self.pairs, progress)
        disturbed = doubts(before, look(here.files, time.sleep))
        return Report(
            model=plain(self.subjects[0].manifest.model),
            scale=self.pairs.scale,
            data=plain(self.data),
            protocol=self.measure.name,
            sources=(*(column.source for column in columns), Source(ORIGINAL, "original", "the HR picture")),
            pictures=pictures,
            variants=tuple(self._variant(number) for number in range(len(self.subjects))),
            left=BICUBIC,
            right=own[0],
            reference=against,
            facts=self._facts(against, command),
            notes=tuple(dict.fromkeys([*(note for one in self.subjects for note in one.manifest.assumed), *disturbed])),
        )

    def _columns(self) -> list[Column]:
        from tvmsr.commands.evaluate import fp32_upscaler

        columns: list[Column] = [Bicubic(self.pairs.scale)]
        if self.network is not None:
            columns.append(Exact(fp32_upscaler(self.network)))
        for number, (one, runner) in enumerate(zip(self.subjects, self.runners, strict=True)):
            columns.append(Artifact(Source(f"v{number}", one.name, one.text, variant=True), runner))
            columns += self._forced(number)
        return columns

    def _forced(self, number: int) -> list[Artifact]:
        """Each choice of the one artifact that a report is about, as if it were an artifact of its own."""
        subject, runner = self.subjects[number], self.runners[number]
        names = subject.manifest.choices
        if len(self.subjects) > 1 or len(names) == 1:
            return []
        return [
            Artifact(
                Source(f"v{number}c{place}", f"always {name}", f"the choice {name}, forced", variant=True), runner, name
            )
            for place, name in enumerate(names)
        ]

    def _variant(self, number: int) -> Variant:
        subject, runner = self.subjects[number], self.runners[number]
        plans, unit = tried(subject.plan)
        return Variant(
            key=f"v{number}",
            level=runner.level,
            threads=runner.last().threads,
            size=subject.size,
            choices=choices_of(subject.manifest, runner.level, self._saturation(subject)),
            choosing=choosing(subject.manifest),
            facts=(*made_of(subject.manifest, subject.plan, subject.size), *self._bits(subject)),
            notes=tuple(dict.fromkeys(plain(note) for note in (*subject.plan.notes, *subject.notes))),
            forced=tuple(column.source.key for column in self._forced(number)),
            tried=plans,
            unit=unit,
        )

    def _bits(self, subject: Subject) -> tuple[tuple[str, str], ...]:
        """Average bits as publications give them, a line a choice; they take the network."""
        from tvmsr.quant.adabm.figures import figures

        if self.network is None:
            return ()
        names = subject.manifest.choices
        found = [figures(self.network, subject.plan, number) for number in range(len(names))]
        return tuple(
            (f"bits of {name}" if len(names) > 1 else "average bits", average_bits(one))
            for name, one in zip(names, found, strict=True)
        )

    def _saturation(self, subject: Subject) -> Saturation:
        """By the reference executor, which needs the network."""
        from tvmsr.quant.adaptive import bind_choices
        from tvmsr.quant.judge import middle
        from tvmsr.quant.picture import fitted
        from tvmsr.quant.saturation import saturation

        if self.network is None:
            return {}
        count = min(LOOKED_AT, len(self.pairs))
        parts = [middle(self.pairs[number * len(self.pairs) // count].lr, LOOKED_SIDE) for number in range(count)]
        graphs = bind_choices(self.network, subject.plan)
        return {
            name: saturation(graph, [fitted(part, graph.sizes) for part in parts])
            for name, graph in zip(subject.manifest.choices, graphs, strict=True)
        }

    def _facts(self, against: str, command: str) -> tuple[tuple[str, str], ...]:
        of = self.subjects[0].name if len(self.subjects) == 1 else "all variants together"
        differs = "differs" if len(self.subjects) == 1 else "differ"
        on = "Y" if self.measure.name == "y" else "RGB"
        told = "FP32" if against == FP32 else "the original"
        rows = (
            ("command", plain(command)),
            ("made with", f"tvmsr {tvmsr.__version__}, {time.strftime('%Y-%m-%d')}"),
            ("pictures", f"{len(self.pairs)} of {plain(self.data)}"),
            ("LR pictures", "made by bicubic, as MATLAB does" if self.pairs.files[0][1] is None else "given"),
            ("PSNR and SSIM", f"of {on}, {self.pairs.scale} pixels at the borders left out"),
            ("time", f"the fastest of some runs on the picture itself, by turns; {_where(self.runners[0])}"),
            ("crops", f"the squares in which {of} {differs} from {told} most, and as much as the middle one of all"),
        )
        return tuple(row for row in rows if row[1])


def _where(runner: HereRunner) -> str:
    threads = runner.last().threads
    return f"{threads} thread{'s' if threads > 1 else ''}, level {runner.level}"
