"""The link to StackStorm: the leader starts its workflows, follows them, and tells it what happens."""
