"""`throughput` with every guard on: what the guards cost of what the system can do."""

from benchmarks import throughput


def main(smoke: bool) -> None:
    """See `benchmarks.throughput`."""
    throughput.main(
        smoke, name="throughput_guarded", ABUSE_GUARD="flag", SECRETS_GUARD="flag", PERSONAL_DATA_GUARD="flag"
    )
