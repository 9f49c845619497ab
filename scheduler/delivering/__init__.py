"""Takes the feed to targets outside: one core for every channel (`synthralos/domain/delivering.py`)."""
