"""AdaBM as published (fake quantization in torch): figures to lay beside the published ones. Nothing is compiled.

docs/adabm.md says what is done; `tvmsr.adabm_paper.measure` does it. Only the modules that compute need torch.
"""
