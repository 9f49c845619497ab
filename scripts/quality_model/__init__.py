"""Makes and judges the weights of the quality model: see `python -m scripts.quality_model --help`."""
