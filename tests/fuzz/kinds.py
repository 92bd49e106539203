"""The kinds of files that are broken, and what reads each."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz import onnx_cases, picture_cases, plan_cases, state_cases
from tests.fuzz.case import Kind

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("onnx", onnx_cases.onnx_file, onnx_cases.read),
        Kind("safetensors", state_cases.safetensors_file, state_cases.read),
        Kind("torch", state_cases.torch_file, state_cases.read),
        Kind("picture", picture_cases.picture_file, picture_cases.read, chatty=True),  # libtiff
        Kind("plan", plan_cases.plan_or_artifact, plan_cases.read),
    )
}
