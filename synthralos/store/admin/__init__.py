"""Keys, organizations, processes."""
