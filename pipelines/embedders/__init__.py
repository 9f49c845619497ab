"""What places prompts beside the built-in embedder: a sentence encoder that runs here, or an endpoint.

An endpoint is shown only what may leave (`leaving`).
"""
