"""Checkpoints, ONNX, torch.export and modules -> Relax -> canonical Model. `load_model` is the one entry."""

from tvmsr.frontend.load import load_model

__all__ = ["load_model"]
