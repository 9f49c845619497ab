"""HTTP without TLS, for servers on this host."""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`httpx.Client(verify=NO_TLS)` trusts nobody. Every other client reads all authorities first, for 30 ms of CPU."""
