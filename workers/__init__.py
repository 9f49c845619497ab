"""Worker processes: the Dramatiq actors, the calls in flight, the heartbeat, and how they start and stop."""
