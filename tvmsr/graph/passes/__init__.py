"""Canonicalisation passes: rules over a Workspace, one file per subject. canonical.py puts them in order."""
