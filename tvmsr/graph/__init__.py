"""The canonical SR graph: its types, the passes that make it, its FP32 executor and its analysis. Needs numpy only."""
