"""The sidecar: real `guardrails-ai` guards behind a local HTTP server, in a process and an environment of its own.

It cannot share ours, whose pins guardrails-ai does not fit. `configuration` and `environment` need the standard library
alone and run on both sides; `validators`, `guards` and `server` run in the sidecar's environment. Nothing here imports
anything of ours.
"""
