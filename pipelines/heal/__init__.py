"""The heal stage: what to do about a failure."""
