"""Which prompts are the same up to typing, wrapping and manners: a library that knows no jobs and no guards.

`plain` brings a text into the form that is compared, `embedding` turns texts into vectors, `recent` keeps
the last prompts of a tenant and finds the nearest, and `pairs` judges two texts closely. The weights of the pair model
are made by `scripts/pair_model`.
"""
