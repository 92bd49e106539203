"""An artifact that a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmsr.reporting.words import plain

if TYPE_CHECKING:
    from tvmsr.artifact.manifest import Manifest
    from tvmsr.quant.plan import Plan


@dataclass(frozen=True, eq=False)
class Subject:
    """name, text: for people; notes: what making it said."""

    path: Path
    name: str
    text: str
    manifest: Manifest
    plan: Plan
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, name: str = "", text: str = "", notes: tuple[str, ...] = ()) -> Subject:
        """Read, not loaded: its bits and how it was made, unless named. InputFileError where it is none of ours."""
        from tvmsr.artifact.manifest import read_manifest, read_plan_text
        from tvmsr.quant.plan import Plan

        manifest = read_manifest(path)
        plan = Plan.from_json(read_plan_text(path), str(path))
        is_said = manifest.adaptive is None or manifest.bits.startswith("auto")
        own = name or (manifest.bits if is_said else f"auto:{manifest.bits}")
        return cls(
            path,
            f"{own} bits" if own.isdigit() else own,
            text or plain(f"{plan.method}, for {manifest.target}"),
            manifest,
            plan,
            notes,
        )

    @property
    def size(self) -> int:
        return self.path.stat().st_size
