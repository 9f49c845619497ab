"""The scheduler process: one leader at a time runs the sweeper and the housekeeping, on APScheduler's clock."""
