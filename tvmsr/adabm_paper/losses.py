"""What fine-tuning makes small: the distance from the FP32 network, and the bits beyond the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from tvmsr.adabm_paper.protocol import Norm, Protocol
from tvmsr.adabm_paper.student import PEAK, Pass

Tensor: TypeAlias = Any


def pixel_loss(student: Pass, teacher: Pass) -> Tensor:
    """Mean absolute difference of the outputs, in gray levels of 0..255."""
    return (student.output - teacher.output).abs().mean() * PEAK


def transfer_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], weight: float, norm: Norm) -> Tensor:
    """Features (B, C, H, W) of blocks, each divided by its norm: weight / (B * n) times the sum of the n distances.

    There is one distance for each block and picture, so that n is B times the number of blocks.
    """
    total = torch.zeros(())
    for own, other in zip(student, teacher, strict=True):
        difference = _unit(own, norm) - _unit(other, norm)
        total = total + torch.linalg.vector_norm(difference.flatten(1), dim=1).sum()
    pictures = len(student[0])
    return weight * total / (pictures * pictures * len(student))


def _unit(x: Tensor, norm: Norm) -> Tensor:
    axes = (0, 1, 2, 3) if norm is Norm.BATCH else (1, 2, 3)
    return x / torch.linalg.vector_norm(x, dim=axes, keepdim=True).clamp(min=1e-12)


def bit_loss(bits: Tensor, base: int, price: float) -> Tensor:
    """Price for every bit that the average of (B, K) lies above the base."""
    return price * (bits.mean() - base).clamp(min=0)


def loss_of(student: Pass, teacher: Pass, protocol: Protocol, with_bits: bool) -> tuple[Tensor, float]:
    """The whole loss, and its pixel part as a number."""
    pixels = pixel_loss(student, teacher)
    total = pixels + transfer_loss(student.features, teacher.features, protocol.transfer, protocol.quirks.norm)
    if with_bits:
        total = total + bit_loss(student.bits, protocol.bits, protocol.bit_price)
    return total, float(pixels.detach())
