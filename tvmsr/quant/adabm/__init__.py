"""AdaBM on the integer semantics: activation bits by layer and by picture (docs/adaptive.md). No torch, no truth."""
