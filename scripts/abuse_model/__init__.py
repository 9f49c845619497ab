"""Makes the weights of the abuse model: see `python -m scripts.abuse_model --help`."""
