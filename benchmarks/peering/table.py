"""Results as Markdown: times, ratios and their means, memory, PSNR, what low bits cost, and why peers are missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from peering.networks import NETWORKS
from peering.ours import MOST_LOST
from peering.runtimes import NAMES, Size, runtime
from peering.store import OURS, PLANE, Key, Store

Row = dict[str, Any]
MIB = 2**20

MODES = {
    "native": "every instruction that the CPU has",
    "avx2": "held to AVX2, ours by its level, peers where they can be",
}
#: Variants that are one column: the better one is shown.
_BETTER_OF = {"ort": {"INT8": ("int8", "int8-reduced")}}
_NAMES = {"fp32": "FP32", "bf16": "BF16", "int8": "INT8"}


@dataclass(frozen=True)
class Shown:
    """A column of the table: a title, and the columns of the results of which the fastest is shown."""

    title: str
    names: tuple[str, ...]
    precision: str

    def of(self, row: Row) -> Row | None:
        """What was measured, or None where nothing was."""
        found = [row["columns"][name] for name in self.names if row["columns"].get(name, {}).get("median")]
        return min(found, key=lambda column: column["median"], default=None)


def ours_shown(rows: Iterable[Row]) -> list[Shown]:
    names = {name: None for row in rows for name in row["columns"] if name.startswith(f"{OURS} ")}
    return [Shown(name.removeprefix(f"{OURS} "), (name,), "ours") for name in names]


def _whole(rows: Iterable[Row]) -> list[Shown]:
    """Ours on whole pictures."""
    return [shown for shown in ours_shown(rows) if not shown.title.endswith(PLANE)]


def peers_shown() -> list[Shown]:
    found = []
    for name in NAMES:
        module = runtime(name)
        merged = _BETTER_OF.get(name, {})
        inside = {variant for variants in merged.values() for variant in variants}
        for variant in module.VARIANTS:
            if variant not in inside:
                found.append(Shown(f"{module.TITLE} {_NAMES[variant]}", (f"{name} {variant}",), _NAMES[variant]))
        for title, variants in merged.items():
            found.append(Shown(f"{module.TITLE} {title}", tuple(f"{name} {v}" for v in variants), title))
    return found


@dataclass(frozen=True)
class Best:
    """The fastest peer of a row against one of ours: how many times as long it takes. what: its title."""

    ratio: float
    what: str


def best(row: Row, bits: str, precisions: Sequence[str] = ("FP32", "BF16", "INT8")) -> Best | None:
    """Ratios are of medians of runs that took turns."""
    found = []
    for shown in peers_shown():
        column = shown.of(row)
        if shown.precision in precisions and column is not None and bits in column["against"]:
            found.append(Best(column["median"] / column["against"][bits], shown.title))
    return min(found, key=lambda b: b.ratio, default=None)


def counts(store: Store, network: str, bits: str) -> bool:
    """True where the trained weights lose less than MOST_LOST at these bits; 8 bits count anyway."""
    bits = bits.removesuffix(PLANE)
    lost = store.data["losses"].get(NETWORKS[network].judge, {}).get(bits)
    return bits == "a8w8" or (lost is not None and lost < MOST_LOST)


def best_low(store: Store, key: Key, row: Row, bits: Sequence[str]) -> Best | None:
    """Against the fastest of our low-bit artifacts that counts."""
    low = [b for b in bits if b != "a8w8" and not b.endswith(PLANE)]
    found = [best(row, b) for b in low if counts(store, key.network, b)]
    return max((b for b in found if b is not None), key=lambda b: b.ratio, default=None)


def table_lines(head: Sequence[str], body: Iterable[Sequence[str]], rule: str = "---:") -> list[str]:
    """A table as Markdown, and an empty line. rule: how columns but the first lie, "---" for words."""
    return [
        "| " + " | ".join(head) + " |",
        "|---" + f"|{rule}" * (len(head) - 1) + "|",
        *("| " + " | ".join(cells) + " |" for cells in body),
        "",
    ]


def _times(store: Store, mode: str, size: Size, threads: int) -> list[str]:
    chosen = {k: r for k, r in store.rows.items() if (k.mode, k.size, k.threads) == (mode, size, threads)}
    if not chosen:
        return []
    ours, peers = ours_shown(chosen.values()), _present(chosen.values())
    bits = [s.title for s in ours]
    head = ["network", *(f"{OURS} {b}" for b in bits), *(p.title for p in peers), "best / a8w8", "best / low bits"]
    planes = f"a8w8{PLANE}" in bits
    head += [f"best / a8w8{PLANE}"] if planes else []
    body = []
    for key, row in chosen.items():
        fastest = min((c["median"] for p in peers if (c := p.of(row))), default=math.inf)
        cells = [f"{key.network} ({row['gmacs']:.1f} GMAC)"]
        for shown in ours:
            column = shown.of(row)
            mark = "" if column is None or counts(store, key.network, shown.title) else " †"
            cells.append(_time(column) + mark)
        for shown in peers:
            column = shown.of(row)
            cell = _time(column)
            cells.append(f"**{cell}**" if column and column["median"] == fastest else cell)
        ratios = [best(row, "a8w8"), best_low(store, key, row, bits)]
        for value in (*ratios, best(row, f"a8w8{PLANE}")) if planes else ratios:
            cells.append(f"{value.ratio:.2f}" if value else "-")
        body.append(cells)
    title = f"### {size}, {threads} thread{'s' if threads > 1 else ''}"
    return [title, "", *table_lines(head, body)]


def _time(column: Row | None) -> str:
    return f"{column['minimum']:.1f} / {column['median']:.1f}" if column else "-"


def _present(rows: Iterable[Row]) -> list[Shown]:
    """Peers of which there is anything, a reason included."""
    names = {name for row in rows for name in row["columns"]}
    return [shown for shown in peers_shown() if names & set(shown.names)]


def geometric(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def _summary(store: Store, mode: str) -> list[str]:
    """Means of the fastest peer's time over ours, by size and threads, and where ours is the slower one."""
    rows = {k: r for k, r in store.rows.items() if k.mode == mode}
    places = sorted({(k.size, k.threads) for k in rows})
    lines = []
    bits = [s.title for s in ours_shown(rows.values())]
    for size, threads in [*places, (Size(0, 0), 0)] if len(places) > 1 else places:
        some = {k: r for k, r in rows.items() if threads == 0 or (k.size, k.threads) == (size, threads)}
        cells = ["all" if threads == 0 else f"{size}, {threads}"]
        judged = {k: best(r, "a8w8") for k, r in some.items()}
        cells.append(_mean(judged))
        for precisions in (("FP32",), ("INT8",)):
            cells.append(_mean({k: best(r, "a8w8", precisions) for k, r in some.items()}))
        cells.append(_mean({k: best_low(store, k, r, bits) for k, r in some.items()}))
        cells.append(_slower(judged))
        lines.append(cells)
    head = [
        "size, threads", "fastest peer / a8w8", "fastest FP32 / a8w8", "fastest INT8 / a8w8",
        "fastest peer / best low bits that count", "a8w8 faster than every peer",
    ]  # fmt: skip
    return ["Geometric means over the networks (in brackets: of how many).", "", *table_lines(head, lines)]


def _slower(judged: dict[Key, Best | None]) -> str:
    """On which networks a8w8 is not the faster one; "-" where nothing was compared."""
    compared = {key: value for key, value in judged.items() if value is not None}
    slower = [f"{key.network} ({value.what}, {value.ratio:.2f})" for key, value in compared.items() if value.ratio < 1]
    return "not on " + "; ".join(slower) if slower else "on each" if compared else "-"


def _mean(found: dict[Key, Best | None]) -> str:
    ratios = [b.ratio for b in found.values() if b is not None]
    return f"{geometric(ratios):.2f} ({len(ratios)})" if ratios else "-"


def _memory(store: Store, size: Size) -> list[str]:
    """Of the run with most threads."""
    rows = _widest(store, size)
    if not rows:
        return []
    ours, peers = _whole(rows.values()), _present(rows.values())
    body = []
    for key, row in rows.items():
        cells = [key.network]
        for shown in (*ours, *peers):
            column = shown.of(row)
            cells.append(f"{column['peak'] / MIB:.0f}" if column and column["peak"] else "-")
        leanest = min((c["peak"] for p in peers if (c := p.of(row))), default=0)
        mine = ours[0].of(row) if ours else None
        cells.append(f"{leanest / mine['peak']:.2f}" if leanest and mine and mine["peak"] else "-")
        body.append(cells)
    head = ["network", *(f"{OURS} {s.title}" for s in ours), *(p.title for p in peers), "leanest / first"]
    before = [c["before"] for r in rows.values() for c in r["columns"].values() if c.get("before")]
    base = f"{min(before) / MIB:.0f} to {max(before) / MIB:.0f}" if before else "-"
    note = f"MiB, VmHWM: ours of a C program, a peer's of its Python process ({base} MiB before it loads the runtime)."
    return [f"### Peak memory, {size}", "", note, "", *table_lines(head, body)]


def _opening(store: Store) -> list[str]:
    """Of the smallest size: it hardly depends on it."""
    rows = _widest(store, min((k.size for k in store.rows if k.mode == "native"), default=Size(0, 0)))
    if not rows:
        return []
    shown = [*_whole(rows.values()), *_present(rows.values())]
    body = [[k.network, *(f"{c['opened']:.1f}" if (c := s.of(r)) else "-" for s in shown)] for k, r in rows.items()]
    words = (
        "ms from the file to a network that can run, weights packed or compiled; the peers' conversions are not in it."
    )
    return ["### Opening", "", words, "", *table_lines(["network", *map(_named, shown)], body)]


def _named(shown: Shown) -> str:
    return f"{OURS} {shown.title}" if shown.precision == "ours" else shown.title


def _widest(store: Store, size: Size) -> dict[Key, Row]:
    rows = {k: r for k, r in store.rows.items() if k.size == size and k.mode == "native"}
    most = max((k.threads for k in rows), default=0)
    return {k: r for k, r in rows.items() if k.threads == most}


def _psnr(store: Store) -> list[str]:
    sizes = [k.size for k, r in store.rows.items() if any("psnr" in c for c in r["columns"].values())]
    if not sizes:
        return []
    rows = _widest(store, min(sizes))
    shown = [*_whole(rows.values()), *_present(rows.values())]
    body = [[k.network, *(_decibel(s.of(r)) for s in shown)] for k, r in rows.items()]
    head = ["network", *map(_named, shown)]
    title = f"### PSNR against FP32 on a photograph, {min(sizes)}, dB"
    return [title, "", "RGB, or Y for networks of Y, in bytes; *same*: no byte differs.", "", *table_lines(head, body)]


def _decibel(column: Row | None) -> str:
    if column is None or "psnr" not in column:
        return "-"
    return "*same*" if column["psnr"] is None else f"{column['psnr']:.1f}"


def _losses(store: Store) -> list[str]:
    losses = store.data["losses"]
    if not any(losses.values()):
        return ["What low bits cost was not measured (no pictures were given): low bits count for no network.", ""]
    bits = list(dict.fromkeys(b for of in losses.values() for b in of))
    body = []
    for network in NETWORKS.values():
        of = losses.get(network.judge)
        if of is None:
            continue
        name = network.name if network.weights else f"{network.name} (judged by {network.judge})"
        cells = [f"{of[b]:.2f}{'' if b == 'a8w8' or of[b] < MOST_LOST else ' †'}" if b in of else "-" for b in bits]
        body.append([name, *cells])
    words = (
        f"dB of PSNR on Y, Set5, that trained weights lose against FP32; †: {MOST_LOST:.0f} dB or more, does not count."
    )
    return ["### What bits cost", "", words, "", *table_lines(["network", *bits], body)]


def _reasons(store: Store) -> list[str]:
    """Each reason once, with the columns and the networks that it holds for."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for key, row in store.rows.items():
        for name, column in row["columns"].items():
            if column.get("reason"):
                names, networks = found.setdefault(column["reason"], ({}, {}))
                names[name], networks[key.network] = None, None
    if not found:
        return []
    lines = [f"- {', '.join(names)}: {reason} ({', '.join(of)})" for reason, (names, of) in found.items()]
    return ["### Not measured", "", *lines, ""]


def _head(store: Store) -> list[str]:
    machine, peaks = store.data["machine"], store.data["peaks"]
    versions = "; ".join(f"{name} {said}" for name, said in store.data["versions"].items())
    lines = [
        *(f"    {command}" for command in store.data["commands"]), "",
        f"CPU: {machine['cpu']}; {machine['cores']} cores, {machine['memory_gib']} GiB; {machine['system']}. "
        f"Flags: {' '.join(machine['flags'])}.", f"Versions: {versions}.",
        "ms, minimum / median of runs that took turns. Networks of Y: the peers get the plane of Y and give it back, "
        f"ours reads and writes the whole picture, colour included; in columns with {PLANE} a gray picture: as much as "
        "the peers do. Peers get float32, ours bytes. "
        "†: low bits that cost too much to count.", "",
    ]  # fmt: skip
    if peaks:
        threads = list(dict.fromkeys(n for of in peaks.values() for n in of))
        body = [[title, *(f"{of.get(n, 0):.0f}" for n in threads)] for title, of in peaks.items()]
        lines += table_lines(["peak", *(f"{n} thread{'s' if n != '1' else ''}" for n in threads)], body)
    return lines


def markdown(store: Store) -> str:
    """All that was measured so far."""
    rows = store.rows
    lines = _head(store)
    sizes = sorted({k.size for k in rows})
    for mode, words in MODES.items():
        if not any(k.mode == mode for k in rows):
            continue
        lines += [f"### Times, {words}", ""]
        for size in sizes:
            for threads in sorted({k.threads for k in rows}):
                lines += _times(store, mode, size, threads)
        lines += _summary(store, mode)
        if mode == "avx2":
            notes = [f"{runtime(n).TITLE}: {runtime(n).HELD_NOTE}" for n in NAMES]
            lines += [f"Held: {'; '.join(notes)}.", ""]
    lines += [line for size in sizes for line in _memory(store, size)]
    lines += [*_opening(store), *_psnr(store), *_losses(store), *_reasons(store)]
    return "\n".join(lines).rstrip() + "\n"
