"""Which prompts are the same up to typing, wrapping and manners: a library that knows no jobs and no guards.

`plain` brings a text into the form that is compared, `embedding` turns texts into vectors, `recent` and `windows` keep
the last prompts of tenants and find the nearest, and `pairs` judges two texts closely. The weights of the pair model
are made by `scripts/pair_model`.
"""
