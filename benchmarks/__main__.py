"""`python -m benchmarks [NAME] [--smoke]`: lists the benchmarks, or runs one."""

import argparse
import importlib
import resource
import signal
import sys
from types import FrameType

from benchmarks.report import BenchmarkError, say

BENCHMARKS = {
    "throughput": "fully processed jobs/s beside bare Dramatiq's no-op messages/s",
    "throughput_guarded": "the same with every guard on",
    "worker_calls": "functions that a bulk job has its worker call, which a busy machine does not change",
    "guard_speed": "milliseconds of CPU that the guard stage takes for a prompt",
    "similarity": "milliseconds and recall of a search in 100,000 prompts, of an embedding, and of a pair",
    "guard_quality": "what the shipped models of pairs and abuse find on a file of labeled rows",
    "route_quality": "what routing by quality saves at equal quality, on rows that its model has not seen",
    "latency": "time from POST to visible result at 100 jobs/s, on RabbitMQ and on Redis",
    "accept": "single-job POSTs/s answered 202, and their p99",
    "flight": "10,000 calls of 10 s in one worker process: wall time, CPU, memory",
    "stream": "time from a provider's first token to the client that waits for it, at 50 streams/s",
    "growth": "throughput with 1,000,000 finished jobs in the tables beside empty tables",
    "backlog": "1,000,000 open jobs: what they cost while nothing happens, and throughput beside them",
    "config": "seconds until a change of flag, limit or catalog is in force in every process, under load",
    "search": "p95 of searches and metrics over 1,000,000 finished jobs, and what their index costs",
    "simulate": "seconds to try a draft of a policy set on 100,000 recorded jobs",
    "golden_prices": "what calls cost by the catalog, against vendors' lists and another calculator",
    "route_plan": "what a plan costs a job: 100 deployments and 50 rules, 1,000 of both, and 50 rules in CEL",
    "policies": "what policies cost a job: 50 and 1,000 native rules, and 50 in CEL",
    "call_cost": "CPU that one provider call takes: adapter, price and the values of the ledger, 2 kB of prompt",
    "fairness": "how exactly organizations share by weight, and how long people wait under a flood",
    "rate_limits": "how well 8 processes keep to a limit together, and how soon a job that waited goes on",
    "quota": "how much of a provider's quotas two workers use together, and how often they are refused",
    "outage": "a deployment that fails every call for a minute: what fails, waits and is wasted",
    "storm": "a deployment that refuses, is slow and flaps: what fails, waits and is paid for nothing",
    "billing": "a provider that fails, cuts, is late and repeats, workers killed meanwhile: the ledger beside its bill",
    "monitor": "what the monitor finds of faults, how soon, and false alarms over 120 simulated deployment-days",
    "dead_letters": "dead letters that are retried in bulk: how many a second",
    "schedule": "10,000 schedules due at once, lateness, takeover after kill -9, ticks lost or doubled, memory",
    "retention": "seconds until a day of 1,000,000 finished jobs is removed, with its books and without",
    "exports": "destinations dead, then back: how fast what they are owed drains, what is lost or doubled",
    "observability": "what Langfuse, OTLP, metrics and access logs cost jobs, all on beside all off",
    "size": "bytes of tables and of WAL for each finished job",
}


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Without a name: lists the benchmarks.")
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--smoke", action="store_true", help="a small run that only shows that it works")
    arguments = parser.parse_args()
    if arguments.name is None:
        for name, what in BENCHMARKS.items():
            print(f"{name:<20}{what}")
        return 0
    signal.signal(signal.SIGTERM, _leave)
    _allow_many_connections()
    try:
        importlib.import_module(f"benchmarks.{arguments.name}").main(arguments.smoke)
    except BenchmarkError as error:
        say(f"{arguments.name}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _allow_many_connections() -> None:
    """Children inherit the limit; thousands of calls in flight are as many sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
