"""API, worker and scheduler in one process, on one `Core`: what `synthralos up` and the demo run."""
