"""Does a plan belong to a model? Names, lengths, and what the operations ask of bits."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import numpy as np

from tvmsr.graph.model import ConvAttrs, Model, Node
from tvmsr.quant.plan import LayerPlan, Plan, PlanError, TensorPlan, shown_key
from tvmsr.quant.structure import READ_SUFFIX, Structure


def check_plan(plan: Plan, model: Model, structure: Structure) -> None:
    """Raise a PlanError of one line that names the field, or return."""
    if plan.checksum != model.checksum:
        raise PlanError(
            f"plan: checksum: made for model {plan.model!r} ({plan.checksum[:12]}), not for {model.name!r} "
            f"({model.checksum[:12]})"
        )
    convolutions = [node.name for node in model.graph if node.op == "conv"]
    _same_names("tensors", plan.tensors, structure.coded)
    _same_names("layers", plan.layers, convolutions)
    for name, tensor in plan.tensors.items():
        _lengths(f"tensors.{name}", tensor, structure.channels[name])
    for name, read in plan.reads.items():
        _check_read(plan, structure, name, read)
    for node in model.graph:
        if node.op == "conv":
            _check_layer(node, plan.layers[node.name], plan)
    _check_output(plan, structure)


def _same_names(field: str, given: Collection[str], needed: Collection[str]) -> None:
    for name in given:
        if name not in needed:
            raise PlanError(f"plan: {field}.{shown_key(name)}: the model has no such entry")
    for name in needed:
        if name not in given:
            raise PlanError(f"plan: {field}.{name}: missing")


def _lengths(field: str, tensor: TensorPlan, channels: int) -> None:
    if tensor.equal is not None and len(tensor.equal) != channels:
        raise PlanError(f"plan: {field}.equal: {len(tensor.equal)} factors for {channels} channels")


def _check_read(plan: Plan, structure: Structure, name: str, read: TensorPlan) -> None:
    field = f"reads.{shown_key(name)}"
    if name not in structure.source or name in structure.terms or structure.source[name] not in plan.tensors:
        raise PlanError(f"plan: {field}: the model stores no such tensor")
    if name + READ_SUFFIX in structure.channels:
        raise PlanError(f"plan: {field}: {name + READ_SUFFIX!r} is the name of a node")
    wide = plan.tensors[structure.source[name]].bits
    if read.bits >= wide or wide <= 8:
        raise PlanError(
            f"plan: {field}.bits: {read.bits} bits to read a tensor of {wide}; it needs fewer, and 9 to 16 there"
        )
    readers = [node.name for node in structure.readers[name] if structure.weighs_pixels(node)]
    if all(plan.layers[reader].reads_stream for reader in readers):
        raise PlanError(f"plan: {field}: no convolution reads it")
    _lengths(field, read, structure.channels[name])


def _check_layer(node: Node, layer: LayerPlan, plan: Plan) -> None:
    field, attrs = f"layers.{node.name}", cast(ConvAttrs, node.attrs)
    outputs = node.weights["weight"].shape[3]
    for key in ("weight_scales", "bias_correction"):
        values = getattr(layer, key)
        if values is not None and len(values) != outputs:
            raise PlanError(f"plan: {field}.{key}: {len(values)} values for {outputs} output channels")
    if attrs.activation.is_table != (layer.table is not None):
        needs = "is missing" if attrs.activation.is_table else "is given, but the layer looks nothing up"
        raise PlanError(f"plan: {field}.table: {needs}")
    if layer.reads_stream and node.inputs[0] not in plan.reads:
        raise PlanError(f"plan: {field}.reads_stream: its input {node.inputs[0]!r} has no narrow reading to avoid")


def _check_output(plan: Plan, structure: Structure) -> None:
    """The last tensor is the picture: its own code. (A calibrated output with a clip of its own may come.)"""
    name = structure.output
    if name not in plan.tensors:
        raise PlanError(f"plan: tensors.{name}: the model's output is its input")
    output = plan.tensors[name]
    exact = output.bits == 8 and np.float32(output.scale) == np.float32(1 / 255) and output.zero == 0
    if not exact or (output.equal is not None and any(e != 1 for e in output.equal)):
        raise PlanError(
            f"plan: tensors.{name}: the output has 8 bits, scale 1/255 and zero 0, without factors per channel"
        )
