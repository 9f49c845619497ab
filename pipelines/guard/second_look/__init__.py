"""A second look at prompts of which the abuse model is not sure: slower, and for them alone.

`protocol` is what the abuse guard asks, `asking` asks it and bears its failures, `transformer` is linear heads on a
sentence encoder, whose weights are made by `scripts/second_look.py`, and `build` makes what settings name.
"""
