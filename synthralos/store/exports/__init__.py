"""What exporters are owed."""
