"""What moves jobs and money."""
