"""Train the embedded default networks: plain 3x3 chains with ReLU, no clip, the input added before the pixel shuffle.

    python -m tvmsr.training.default_model --data IMAGES --scale 4 --out default_x4.safetensors

Each convolution is trained over-parameterised as U @ V + identity, as in collapsible linear blocks (SESR,
arXiv:2103.09404), and collapsed in every forward pass, so that training costs what the small network costs.
Loss is L1 with the convolutions in bfloat16, then squared error in float32 for the last fifth of the steps (PSNR is
what the bars are stated in). The weights written are an exponential moving average. The state is saved beside --out
every 500 steps and a run resumes from it.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tvmsr.imaging.bicubic import crop_to_multiple, imresize, make_lr

log = logging.getLogger(__name__)

#: Body convolutions per scale: as many as fit into 60,000 parameters at 32 channels.
BODY = {2: 6, 3: 5, 4: 4}
CHANNELS = 32
PARAMETER_LIMIT = 60_000


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; written into the metadata of the weights."""

    scale: int
    steps: int = 60_000
    batch: int = 16
    patch: int = 48
    rate: float = 1e-3
    seed: int = 0
    expansion: int = 128


class CollapsibleConv(nn.Module):
    """3x3 convolution with weight U @ V (+ identity); the collapsed form is an ordinary convolution."""

    def __init__(self, inputs: int, outputs: int, expansion: int, *, scale_init: float = 1.0) -> None:
        super().__init__()
        self.wide = nn.Parameter(torch.randn(expansion, inputs * 9) * math.sqrt(2.0 / (inputs * 9)))
        self.narrow = nn.Parameter(torch.randn(outputs, expansion) * math.sqrt(1.0 / expansion) * scale_init)
        self.bias = nn.Parameter(torch.zeros(outputs))
        identity = torch.zeros(outputs, inputs, 3, 3)
        if inputs == outputs:
            identity[range(outputs), range(outputs), 1, 1] = 1.0
        self.identity: Tensor
        self.register_buffer("identity", identity)

    def weight(self) -> Tensor:
        return (self.narrow @ self.wide).reshape(self.identity.shape) + self.identity

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight(), self.bias, padding=1)


class PlainAnchorNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (N, 3, scale*H, scale*W), not clipped."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        body = BODY[recipe.scale]
        widths = [3] + [CHANNELS] * (body + 1) + [3 * recipe.scale**2]
        self.scale = recipe.scale
        self.convs = nn.ModuleList(
            CollapsibleConv(a, b, recipe.expansion, scale_init=1.0 if a == 3 else 0.1 if b != CHANNELS else 0.5)
            for a, b in pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x.contiguous(memory_format=torch.channels_last)
        for conv in self.convs[:-1]:
            y = functional.relu(conv(y))
        y = self.convs[-1](y) + x.repeat_interleave(self.scale**2, dim=1)
        return functional.pixel_shuffle(y, self.scale)

    def state(self) -> dict[str, Tensor]:
        """The collapsed network as the checkpoint that users see: conv.N.weight (OIHW), conv.N.bias."""
        named: dict[str, Tensor] = {}
        for i, conv in enumerate(self.convs):
            assert isinstance(conv, CollapsibleConv)
            named[f"conv.{i}.weight"] = conv.weight().detach().float().contiguous()
            named[f"conv.{i}.bias"] = conv.bias.detach().float().contiguous()
        return named


class Patches:
    """Random LR/HR patch pairs from a folder of HR images, with shrunken copies, flips and rotations."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.recipe, self.rng = recipe, np.random.default_rng(recipe.seed)
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for file in sorted(folder.glob("*.png")):
            full = np.asarray(Image.open(file).convert("RGB"))
            for ratio in (1.0, 0.8, 0.6):
                hr = full if ratio == 1.0 else imresize(full, ratio)
                hr = crop_to_multiple(hr, recipe.scale)
                if min(hr.shape[:2]) >= recipe.patch * recipe.scale:
                    self.pairs.append((make_lr(hr, recipe.scale), hr))
        if not self.pairs:
            raise SystemExit(f"no PNG of at least {recipe.patch * recipe.scale} pixels a side in {folder}")
        area = np.array([lr.shape[0] * lr.shape[1] for lr, _ in self.pairs], float)
        self.chance = area / area.sum()

    def one(self) -> tuple[np.ndarray, np.ndarray]:
        p, s = self.recipe.patch, self.recipe.scale
        lr, hr = self.pairs[self.rng.choice(len(self.pairs), p=self.chance)]
        top, left = (int(self.rng.integers(0, n - p + 1)) for n in lr.shape[:2])
        a, b = lr[top : top + p, left : left + p], hr[top * s : (top + p) * s, left * s : (left + p) * s]
        turns, flip = int(self.rng.integers(4)), bool(self.rng.integers(2))
        a, b = np.rot90(a, turns), np.rot90(b, turns)
        return (a[:, ::-1], b[:, ::-1]) if flip else (a, b)

    def batch(self) -> tuple[Tensor, Tensor]:
        lrs, hrs = zip(*(self.one() for _ in range(self.recipe.batch)), strict=True)
        low, high = (torch.from_numpy(np.stack(x).astype(np.float32) / 255).permute(0, 3, 1, 2) for x in (lrs, hrs))
        return low, high


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up over 300 steps, then a cosine to zero."""
    return recipe.rate * min(1.0, (step + 1) / 300) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


def save_atomically(state: object, path: Path) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    torch.save(state, temporary)
    temporary.replace(path)


def train(data: Path, recipe: Recipe, out: Path) -> None:
    """Run the recipe and write the collapsed moving average to `out` (safetensors)."""
    torch.manual_seed(recipe.seed)
    net = PlainAnchorNet(recipe)
    count = sum(t.numel() for t in net.state().values())
    if count > PARAMETER_LIMIT:
        raise SystemExit(f"{count} parameters, more than {PARAMETER_LIMIT}")
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser, start, resume = torch.optim.Adam(net.parameters(), recipe.rate), 0, out.with_suffix(".state")
    if resume.exists():
        saved = torch.load(resume, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        average, start = saved["average"], saved["step"]
    patches, running = Patches(data, recipe), 0.0
    patches.rng = np.random.default_rng([recipe.seed, start])
    log.info("%d parameters, %d images with copies, from step %d", count, len(patches.pairs), start)
    for step in range(start, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step)
        lr, hr = patches.batch()
        coarse = step < 0.8 * recipe.steps
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            error = net(lr).float() - hr
        loss = error.abs().mean() if coarse else 20 * error.square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            decay = min(0.999, (step + 1) / (step + 10))
            for key, value in net.state_dict().items():
                average[key].lerp_(value, 1 - decay)
            running += float(error.square().mean())
        if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
            log.info("step %d: PSNR of the patches %.3f dB", step + 1, -10 * math.log10(running / 500))
            running = 0.0
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step + 1}
            save_atomically(state, resume)
    net.load_state_dict(average)
    facts = {"made_by": "tvmsr.training.default_model", "license": "Apache-2.0"}
    facts |= {key: str(value) for key, value in vars(recipe).items()}
    save_file(net.state(), str(out.with_suffix(".part")), metadata=facts)
    out.with_suffix(".part").replace(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=int, required=True, choices=sorted(BODY))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    train(args.data, Recipe(scale=args.scale, steps=args.steps), args.out)


if __name__ == "__main__":
    main()
