"""What `upscale` consists of: names, what fits into memory, what was done before, and the pictures themselves."""
