"""ATen's operators that are run during an import: lists, as programs come from files.

Each checks the sizes and indices that it is given, which what is internal to torch does not always.
"""

from __future__ import annotations

#: What a program from a file may have to be run for a comparison.
HARMLESS = frozenset((
    "_assert_scalar", "_assert_tensor_metadata", "_native_batch_norm_legit_no_training", "_softmax", "_to_copy",
    "_unsafe_view", "_upsample_nearest_exact2d", "_weight_norm", "abs", "adaptive_avg_pool2d",
    "adaptive_max_pool2d", "add", "add_", "addcmul", "addmm", "alias", "alpha_dropout", "amax", "amin", "arange",
    "avg_pool2d", "batch_norm", "bmm", "cat", "ceil", "channel_shuffle", "chunk", "clamp", "clamp_", "clamp_max",
    "clamp_max_", "clamp_min", "clamp_min_", "clip", "clone", "constant_pad_nd", "contiguous", "conv2d",
    "conv_transpose2d", "convolution", "cos", "detach", "div", "div_", "dot", "dropout", "elu", "empty_like", "erf",
    "exp", "expand", "expand_as", "eye", "feature_dropout", "flatten", "floor", "full", "full_like", "ge", "gelu",
    "glu", "gt", "hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_", "hardtanh", "hardtanh_", "index",
    "index_select", "layer_norm", "le", "leaky_relu", "leaky_relu_", "lerp", "lift_fresh_copy",
    "linalg_vector_norm", "linear", "linspace", "log", "lt", "matmul", "max", "max_pool2d",
    "max_pool2d_with_indices", "maximum", "mean", "min", "minimum", "mish", "mm", "moveaxis", "movedim", "mul",
    "mul_", "mv", "narrow", "native_dropout", "neg", "new_full", "new_ones", "new_zeros", "norm", "ones",
    "ones_like", "outer", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "pow", "prelu", "reciprocal",
    "reciprocal_", "reflection_pad2d", "relu", "relu6", "relu_", "repeat", "repeat_interleave", "replication_pad2d",
    "reshape", "rrelu", "rsqrt", "rsub", "scalar_tensor", "select", "sigmoid", "sigmoid_", "silu", "silu_", "sin",
    "slice", "softmax", "softplus", "split", "split_with_sizes", "sqrt", "square", "squeeze", "squeeze_", "stack",
    "std", "sub", "sub_", "sum", "swapaxes", "sym_size", "t", "tanh", "tensor_split", "tile", "to", "transpose",
    "unbind", "unflatten", "unsqueeze", "unsqueeze_", "upsample_bicubic2d", "upsample_bilinear2d",
    "upsample_nearest2d", "var", "view", "where", "zeros", "zeros_like",
))  # fmt: skip

#: What is computed where it reads parameters and constants alone.
COMPUTED = frozenset((
    "_softmax", "_to_copy", "_unsafe_view", "_weight_norm", "abs", "add", "addmm", "amax", "amin", "arange", "cat",
    "clamp", "clamp_max", "clamp_min", "clone", "contiguous", "cos", "detach", "div", "dot", "exp", "expand", "eye",
    "flatten", "flip", "full", "full_like", "index_select", "lift_fresh_copy", "linalg_vector_norm", "linspace",
    "log", "logspace", "matmul", "mean", "mm", "movedim", "mul", "mv", "neg", "norm", "ones", "ones_like", "outer",
    "permute", "pow", "reciprocal", "relu", "repeat", "reshape", "rsqrt", "scalar_tensor", "select", "sigmoid",
    "sign", "sin", "slice", "softmax", "softplus", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t",
    "tanh", "to", "transpose", "tril", "triu", "unflatten", "unsqueeze", "var", "view", "zeros", "zeros_like",
))  # fmt: skip

#: What only shows a tensor in another way: the walk follows these, and knows whose weights it sees then.
VIEWS = frozenset((
    "_to_copy", "_unsafe_view", "clone", "contiguous", "detach", "expand", "flatten", "lift_fresh_copy", "movedim",
    "permute", "repeat", "reshape", "select", "slice", "squeeze", "t", "to", "transpose", "unflatten", "unsqueeze",
    "view",
))  # fmt: skip
