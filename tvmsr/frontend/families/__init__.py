"""Architecture families: one small file each, registered in registry.py."""
