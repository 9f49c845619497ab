"""Secrets and personal data in requests: found, replaced before a provider sees them, put back into answers."""
