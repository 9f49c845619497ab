"""Which servers are believed to be who they say they are."""

import os
import ssl
from collections.abc import Mapping

import certifi


def client_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Verifies certificates and host names, against the system's authorities and certifi's.

    Where `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, the authorities there are the only ones. Making a context reads
    them all, which takes tens of milliseconds.
    """
    context = ssl.create_default_context()
    if not (environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
