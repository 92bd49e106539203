"""The learned step after calibration: see tvmsr.quant.learned.learn, which imports without torch."""
