"""Sentence encoders that run here: a transformer turns texts into vectors, without a network.

`build` finds a model on the disk and what runs it: onnxruntime, or the sentence-transformers package. Neither is part
of an ordinary installation (extras `deep-guard` and `sentence-transformers`), so they are imported where they are used.
"""
