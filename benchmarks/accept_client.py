"""The client of `accept`: `python -m benchmarks.accept_client URL KEY CONNECTIONS WARM_UP_SECONDS SECONDS`.

Prints `warm` when the clock begins to run, and at the end one JSON line: `times`, the seconds that each POST took;
`seconds`, in which they fell; `all`, how many jobs were accepted with those of the warm-up.
"""

import asyncio
import itertools
import json
import sys
from time import perf_counter

import uvloop

from benchmarks.client import Connection
from benchmarks.workload import job


async def load(url: str, key: str, connections: int, warm_up: float, seconds: float) -> None:
    """Each connection sends its next job when the last one is accepted."""
    begin = perf_counter() + warm_up
    end = begin + seconds
    numbers = itertools.count()
    answered: list[tuple[float, float]] = []

    async def sender() -> None:
        async with Connection(url, key) as connection:
            while (sent := perf_counter()) < end:
                body = json.dumps(job(next(numbers))).encode()
                await connection.accepted(connection.encode("POST", "/api/v1/jobs", body))
                answered.append((sent, perf_counter()))

    asyncio.get_running_loop().call_later(warm_up, lambda: print("warm", flush=True))
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(sender())
    times = [done - sent for sent, done in answered if begin <= sent and done <= end]
    print(json.dumps({"times": times, "seconds": seconds, "all": len(answered)}), flush=True)


if __name__ == "__main__":
    _, url, key, connections, warm_up, seconds = sys.argv
    uvloop.run(load(url, key, int(connections), float(warm_up), float(seconds)))
