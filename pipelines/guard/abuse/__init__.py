"""The abuse model: what a prompt is after, told by n-grams, windows and statistics, with numpy alone.

`normalize` undoes what hides words, `ngrams` hashes them, `noise` measures what is no language, `trees` runs small
boosted trees, and `model` makes scores of it all. The weights are made by `scripts/abuse_model`.
"""
