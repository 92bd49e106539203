"""Architectures that are known and out of reach: what tells them, and why."""

from __future__ import annotations

from tvmsr.frontend.families.family import Refused
from tvmsr.frontend.state import State

_WINDOWS = "its window attention multiplies parts of the picture with one another and takes a softmax"
_ATTENTION = "its attention multiplies parts of the picture with one another and takes a softmax"
_SAMPLING = "DySample reads the picture at positions that it computes"
_GROUPS = "its group norm divides by deviations over several channels of the whole picture"
_EXPERTS = "it picks which of its weights it uses by what the picture shows"
_LENGTHS = "it divides every pixel by the length of its channels"
_POOLING = "its local attention divides one tensor by another"

#: What some training codes have before every key.
_PREFIXES = ("", "model.", "model_g.")

_SWIN = "layers.0.residual_group.blocks.0"
_BIAS_TABLE = f"{_SWIN}.attn.relative_position_bias_table"


def _refused(name: str, title: str, why: str, *keys: str, without: tuple[str, ...] = ()) -> Refused:
    """One that has all of these keys, and none of those; a|b: either."""

    def recognise(state: State) -> bool:
        return any(
            all(any(prefix + one in state for one in key.split("|")) for key in keys)
            and not any(prefix + key in state for key in without)
            for prefix in _PREFIXES
        )

    return Refused(name, title, why, recognise)


_CAB, _PSA, _TOKENS = f"{_SWIN}.conv_block.cab.0.weight", f"{_SWIN}.attn.kv.weight", "layers.0.residual_group.td"
_PLAIN_ATTENTION = "|".join(f"block1.body.{n}.body.2.weight" for n in (3, 4, 5, 6))

REFUSED: tuple[Refused, ...] = (
    _refused("swinir", "SwinIR", _WINDOWS, _BIAS_TABLE, without=(_CAB, _PSA, _TOKENS)),
    _refused("swin2sr", "Swin2SR", _WINDOWS, f"{_SWIN}.attn.cpb_mlp.0.weight"),
    _refused("hat", "HAT", _WINDOWS, _CAB),
    _refused("srformer", "SRFormer", _WINDOWS, _PSA),
    _refused("dat", "DAT", _WINDOWS, "layers.0.blocks.0.attn.spatial_interaction.0.weight"),
    _refused("rgt", "RGT", _WINDOWS, "layers.0.blocks.0.gamma", "layers.0.blocks.0.attn.qkv.weight"),
    _refused("atd", "ATD", _WINDOWS, _TOKENS),
    _refused("craft", "CRAFT", _WINDOWS, "layers.0.residual_group.hf_blocks.0.attn.temperature"),
    _refused("grl", "GRL", _WINDOWS, "layers.0.blocks.0.attn.window_attn.attn_transform.logit_scale"),
    _refused("drct", "DRCT", _WINDOWS, "layers.0.swin1.attn.qkv.weight"),
    _refused("omnisr", "OmniSR", _WINDOWS, "residual_layer.0.residual_layer.0.layer.0.fn.0.weight"),
    _refused("ditn", "DITN", _ATTENTION, "UFONE.0.ITLs.0.attn.temperature"),
    _refused("dctlsa", "DCTLSA", _WINDOWS, "B1.body.0.transformer_body.0.blocks.0.attn.qkv.weight"),
    _refused("ipt", "IPT", _ATTENTION, "body.encoder.layers.0.self_attn.in_proj_weight"),
    _refused("fdat", "FDAT", _WINDOWS, "groups.0.blocks.0.attn.bias", "groups.0.blocks.0.ffn.fc1.weight"),
    _refused("scunet", "SCUNet", _WINDOWS, "m_head.0.weight", "m_body.0.trans_block.msa.relative_position_params"),
    _refused("uformer", "Uformer", _WINDOWS, "encoderlayer_0.blocks.0.attn.relative_position_bias_table"),
    _refused("restormer", "Restormer", _ATTENTION, "encoder_level1.0.attn.temperature"),
    _refused("realplksr_dysample", "RealPLKSR with DySample", _SAMPLING, "feats.1.lk.conv.weight", "to_img.init_pos"),
    _refused(
        "realplksr_groupnorm",
        "RealPLKSR with group norm",
        _GROUPS,
        "feats.1.channel_mixer.0.weight",
        "feats.1.norm.weight",
        without=("to_img.init_pos",),
    ),
    _refused("spanplus_dysample", "SPANPlus with DySample", _SAMPLING, "feats.1.conv_cat.weight", "upsampler.init_pos"),
    _refused("mosr_dysample", "MoSR with DySample", _SAMPLING, "gblocks.1.fc1.weight", "upsampler.init_pos"),
    _refused("seemore", "SeemoRe", _EXPERTS, "body.0.local_block.block.moe_layer.gate.body.2.weight"),
    _refused("smfanet", "SMFANet", _LENGTHS, "to_feat.weight", "feats.0.smfa.linear_0.weight"),
    _refused("plainusr_base", "PlainUSR base and large", _POOLING, _PLAIN_ATTENTION, "head.weight", "tail.0.weight"),
)
