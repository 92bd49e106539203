"""Channels of a graph's tensors: what the writers for other runtimes need to know of shapes."""

from __future__ import annotations

from typing import cast

from tvmsr.graph.model import INPUT, INPUT_CHANNELS, ConvAttrs, GatherAttrs, Graph, ShuffleAttrs


def input_channels(graph: Graph) -> int:
    """Channels of the picture: those that a convolution reads, 3 where none reads it."""
    for node in graph.consumers(INPUT):
        if node.op == "conv":
            return int(node.weights["weight"].shape[2]) * cast(ConvAttrs, node.attrs).groups
    return INPUT_CHANNELS


def channels_of(graph: Graph) -> dict[str, int]:
    """Of every tensor by its name."""
    found = {INPUT: input_channels(graph)}
    for node in graph:
        counts = [found[name] for name in node.inputs]
        if node.op == "conv":
            count = int(node.weights["weight"].shape[3])
        elif node.op == "concat":
            count = sum(counts)
        elif node.op == "gather":
            count = len(cast(GatherAttrs, node.attrs).channels)
        elif node.op == "depth_to_space":
            count = counts[0] // cast(ShuffleAttrs, node.attrs).block ** 2
        else:
            count = max(counts)
        found[node.name] = count
    return found


def runs_of(channels: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first, count) of the stretches in which each channel is the one after the last."""
    found: list[tuple[int, int]] = []
    for channel in channels:
        if found and sum(found[-1]) == channel:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((channel, 1))
    return found
