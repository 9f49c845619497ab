"""Who makes something under an `Idempotency-Key`."""

from synthralos.store.admin.audit import By
from synthralos.store.queue.idempotency import Once
from synthralos.store.queue.submissions import Idempotency


def once(fingerprint: str, organization: str = "acme") -> By:
    """Ann, under one key, with a body of that fingerprint."""
    return By("ann", once=Once(organization, "", Idempotency("k", fingerprint)))
