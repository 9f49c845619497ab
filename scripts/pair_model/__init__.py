"""Makes the weights of the pair model: see `python -m scripts.pair_model --help`."""
