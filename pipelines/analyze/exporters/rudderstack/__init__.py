"""RudderStack: what happened as `identify` and `track` events, and the way to a data plane."""
