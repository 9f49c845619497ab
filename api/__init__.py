"""The HTTP API: submitting, watching and operating jobs, and their traces."""
