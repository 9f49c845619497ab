"""The doors of `/api/v1`."""
