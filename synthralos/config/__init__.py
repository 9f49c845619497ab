"""What a process is told: its settings, the catalog of deployments, credentials, flags, limits."""
