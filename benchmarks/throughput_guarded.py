"""`throughput` with every guard on: what the guards cost of what the system can do."""

from benchmarks import throughput

GUARDS = {"ABUSE_GUARD": "flag", "SECRETS_GUARD": "flag", "PERSONAL_DATA_GUARD": "flag"}


def main(smoke: bool) -> None:
    """See `benchmarks.throughput`."""
    throughput.main(smoke, name="throughput_guarded", **GUARDS)
