"""A report: what was measured of artifacts and pictures, as one HTML file that needs nothing else."""
