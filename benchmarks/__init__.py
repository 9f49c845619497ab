"""Reproducible figures: `python -m benchmarks` lists them, `python -m benchmarks NAME` runs one.

Standard output holds nothing but JSON lines, `{"metric", "value", "unit"}`, with `"baseline"` and `"ratio"` where
there is one; what happens meanwhile, and where the CPU went, is told on standard error.
"""
