"""The networks that are judged, and what others measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A network: its file (or default:xN), the FP32 PSNR stated for it on Set5 and Set14, and where that is from.

    scale: where the file does not tell it. border: pixels that were cut off for the stated figures, where not `scale`.
    """

    model: str
    stated: tuple[float | None, float | None]
    scale: int | None = None
    border: int | None = None
    source: str = "measured by others"

    @property
    def name(self) -> str:
        name = self.model.removesuffix(".safetensors")
        return name if self.scale is None else f"{name} (--scale {self.scale})"

    @property
    def stem(self) -> str:
        """Of the names of files that are made of it."""
        return self.name.replace(" ", "").replace(":", "-")

    def file(self, weights: Path) -> str:
        """What commands take for it, its checkpoint in the folder `weights`."""
        return self.model if self.model.startswith("default:") else str(weights / self.model)


ROWS = (
    Row("srcnn_x3.safetensors", (32.63, 29.21)),
    Row("srcnn_ycbcr_915.safetensors", (34.26, 30.89), scale=2, border=6),
    Row("srcnn_ycbcr_915.safetensors", (30.96, 28.10), scale=3, border=6),
    Row("srcnn_ycbcr_915.safetensors", (28.66, 26.30), scale=4, border=6),
    Row("fsrcnn_x2.safetensors", (37.10, 32.71)),
    Row("fsrcnn_x3.safetensors", (32.59, 29.20)),
    Row("fsrcnn_x4.safetensors", (30.50, 27.55)),
    Row("fsrcnn_ycbcr_x2.safetensors", (35.90, 32.10)),
    Row("fsrcnn_ycbcr_x3.safetensors", (31.77, 28.63)),
    Row("fsrcnn_ycbcr_x4.safetensors", (29.04, 26.58)),
    Row("espcn_x3.safetensors", (31.97, 28.78)),
    Row("espcn_ycbcr_x2.safetensors", (36.20, 32.12)),
    Row("espcn_ycbcr_x3.safetensors", (31.84, 28.69)),
    Row("espcn_ycbcr_x4.safetensors", (29.15, 26.65)),
    Row("abpn_x3.safetensors", (33.53, 29.77)),
    Row("xlsr_x3.safetensors", (33.27, 29.63)),
    Row("srvggnetcompact_x4.safetensors", (28.25, 26.12)),
    Row("imdn_rtc_x2.safetensors", (37.31, 32.97)),
    Row("imdn_plus_x4.safetensors", (32.13, 28.65)),
    Row("imdn_aim_x4.safetensors", (32.25, 28.69)),
    Row("imdn_x2.safetensors", (38.00, 33.63)),
    Row("imdn_x3.safetensors", (34.36, 30.32)),
    Row("imdn_x4.safetensors", (32.21, 28.58)),
    Row("rfdn_x4.safetensors", (32.16, 28.64)),
    Row("rlfn_ntire_x4.safetensors", (32.10, 28.60)),
    Row("rlfn_s_x2.safetensors", (38.05, 33.62)),
    Row("rlfn_s_x4.safetensors", (32.24, 28.62)),
    Row("rlfn_x2.safetensors", (38.07, 33.72)),
    Row("rlfn_x4.safetensors", (32.24, 28.62)),
    Row("fmen_x4.safetensors", (32.12, 28.57)),
    Row("bsrn_s_x4.safetensors", (32.01, 28.59)),
    Row("carn_m_x2x3x4.safetensors", (37.68, 33.30), scale=2),
    Row("carn_m_x2x3x4.safetensors", (34.06, 30.10), scale=3),
    Row("carn_m_x2x3x4.safetensors", (31.88, 28.42), scale=4),
    Row("edsr8_x2.safetensors", (37.80, 33.37)),
    Row("srresnet_x4.safetensors", (31.88, 28.43)),
    Row("default:x2", (37.00, 32.63), source="FSRCNN's published figures: the bar"),
    Row("default:x4", (30.71, 27.59), source="FSRCNN's published figures: the bar"),
)
SETS = ("set5", "set14")
