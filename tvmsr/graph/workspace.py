"""A graph under reconstruction: what the canonicalisation passes edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from tvmsr.graph.model import INPUT, INPUT_CHANNELS, GatherAttrs, Graph, Node, ShuffleAttrs

#: Looks at one node and changes the workspace around it; True where it did.
Rule = Callable[["Workspace", Node], bool]


class Workspace:
    """Nodes by name, with their readers. Frozen nodes are replaced, never changed."""

    def __init__(self, graph: Graph, input_channels: int = INPUT_CHANNELS) -> None:
        self.nodes = {node.name: node for node in graph}
        self.output = graph.output
        self.marks = dict(graph.marks)
        self.input_channels = input_channels
        self._readers: dict[str, dict[str, int]] = {}  # tensor -> who reads it, how often
        self._suspects: list[str] = []  # nodes that nobody may need any more
        for node in graph:
            self._read(node)
        self._suspects.extend(self.nodes)

    def get(self, name: str) -> Node | None:
        """The node of that name; None for the graph's input."""
        return self.nodes.get(name)

    def op(self, name: str) -> str:
        """The operation that makes a tensor; "input" for the graph's input."""
        node = self.nodes.get(name)
        return INPUT if node is None else node.op

    def readers(self, name: str) -> Sequence[str]:
        """Names of the nodes that read `name`, once per reading."""
        return [reader for reader, times in self._readers.get(name, {}).items() for _ in range(times)]

    def _read(self, node: Node) -> None:
        for source in node.inputs:
            readers = self._readers.setdefault(source, {})
            readers[node.name] = readers.get(node.name, 0) + 1

    def _forget(self, node: Node) -> None:
        """What a node read is read by one less."""
        for source in set(node.inputs):
            del self._readers[source][node.name]
            self._suspects.append(source)

    def sole(self, name: str) -> bool:
        """True where a tensor is read exactly once and is not the network's output."""
        return name not in (self.output, INPUT) and len(self.readers(name)) == 1

    def put(self, node: Node) -> None:
        """Add a node, or replace the one of its name."""
        before = self.nodes.get(node.name)
        if before is not None:
            self._forget(before)
        self.nodes[node.name] = node
        self._read(node)
        self._suspects.append(node.name)

    def redirect(self, old: str, new: str) -> None:
        """Let every reader of `old`, and the output, read `new`; the node `new` itself is left as it is.

        The mark of `old` goes with its readers. What a scaling changes has lost the mark that it had.
        """
        if old in self.marks:
            self.marks[new] = self.marks.pop(old)
        elif self.op(old) == "affine":
            self.marks.pop(new, None)
        for name in [reader for reader in self._readers.get(old, {}) if reader != new]:
            node = self.nodes[name]
            self.put(replace(node, inputs=tuple(new if i == old else i for i in node.inputs)))
        if self.output == old:
            self.output = new
        self._suspects.append(old)

    def exchange(self, first: Node, second: Node) -> None:
        """Put two unary nodes in place of the pair that ran the other way round.

        Before, `second` fed `first` (nodes of the same names); afterwards `first` reads what `second` read, `second`
        reads `first`, and whoever read `first` reads `second`.
        """
        source = self.nodes[second.name].inputs[0]
        self.redirect(first.name, second.name)
        self.put(replace(first, inputs=(source,)))
        self.put(replace(second, inputs=(first.name,)))

    def fresh(self, base: str) -> str:
        """A name that is not taken: `base`, or `base_2`, `base_3` and so on."""
        name, count = base, 1
        while name in self.nodes or name == INPUT:
            count += 1
            name = f"{base}_{count}"
        return name

    def channels(self, name: str) -> int:
        """Number of channels of a tensor."""
        factor_up, factor_down = 1, 1
        while True:
            node = self.nodes.get(name)
            if node is None:
                count = self.input_channels
            elif node.op == "conv":
                count = node.weights["weight"].shape[3]
            elif node.op == "gather":
                count = len(cast(GatherAttrs, node.attrs).channels)
            elif node.op == "concat":
                count = sum(self.channels(i) for i in node.inputs)
            else:
                if node.op == "depth_to_space":
                    factor_down *= cast(ShuffleAttrs, node.attrs).block ** 2
                name = node.inputs[0]
                continue
            return count * factor_up // factor_down

    def order(self) -> list[str]:
        """Names of the nodes that the output needs, each after its inputs; the same for the same graph."""
        done: dict[str, None] = {}
        stack = [(self.output, False)]
        while stack:
            name, expanded = stack.pop()
            if name in done or name not in self.nodes:
                continue
            if expanded:
                done[name] = None
                continue
            stack.append((name, True))
            stack.extend((i, False) for i in reversed(self.nodes[name].inputs))
        return list(done)

    def prune(self) -> None:
        """Forget the nodes that the output does not need."""
        while self._suspects:
            name = self._suspects.pop()
            node = self.nodes.get(name)
            if node is not None and name != self.output and not self._readers.get(name):
                del self.nodes[name]
                self._forget(node)

    def graph(self) -> Graph:
        """The graph as it stands, dead nodes left out."""
        names = self.order()
        marks = {name: mark for name, mark in self.marks.items() if name in self.nodes}
        return Graph(tuple(self.nodes[name] for name in names), self.output, marks)


def apply_rules(graph: Graph, rules: Sequence[Rule], input_channels: int = INPUT_CHANNELS) -> Graph:
    """Apply the rules to every node until none of them changes anything; `graph` itself where none did."""
    net = Workspace(graph, input_channels)
    net.prune()
    changed_ever, changed = len(net.nodes) != len(graph.nodes), True
    while changed:
        changed = False
        for name in net.order():
            for rule in rules:
                node = net.nodes.get(name)
                if node is not None and rule(net, node):
                    net.prune()
                    changed = changed_ever = True
    return net.graph() if changed_ever else graph
