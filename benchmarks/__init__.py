"""Measurements: one program per question, its peers beside us in the same run (docs/benchmarks.md)."""
