"""Worker processes: the Dramatiq actors, the flight of calls, the heartbeat, and how they start and stop."""
