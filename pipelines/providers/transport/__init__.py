"""HTTP/1.1 for the provider adapters: requests begin and end with callbacks, without a task or a future per call.

What it leaves out on purpose: redirects, cookies, repeats, limits on how much is in flight. Who comes first:
`client` begins requests, `connection` carries them one after another, `reader` understands the answers, `dialing`
opens connections (by way of `proxies`, with `tls`).
"""
