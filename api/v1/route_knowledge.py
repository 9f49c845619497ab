"""What an explanation of a plan goes by: what the store has of it, how old that is, and what workers alone know."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from api.observations import Observation
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.flow.held_up import Gate, HeldUp
from synthralos.store.read.answer_times import MOST_ATTEMPTS, WITHIN_SECONDS


class HeldUpView(View):
    """Why a deployment gets no ordinary calls now: workers go on with the next step."""

    gate: Gate
    names: Annotated[list[str], Field(description="of the breakers, or quotas, that are shut")]
    until: Annotated[AwareDatetime | None, Field(description="when a call may be tried; null: probes may be made now")]
    reason: Annotated[str | None, Field(description="why; null for keys of a tenant")]


class LatencyView(View):
    """Seconds to the whole answer of a deployment, to two digits."""

    deployment: str
    median: Annotated[float, Field(description="half of its last 200 answers at most took so long")]
    high: Annotated[float, Field(description="95 of 100 took no longer")]


class LatenciesView(View):
    """What `fastest` and the rule `deadline` go by: the last answers that all workers got, from the ledger."""

    read_at: AwareDatetime
    answers: Annotated[
        int, Field(description=f"of the newest {MOST_ATTEMPTS:,} calls, the whole ones at standard tier")
    ]
    oldest: Annotated[AwareDatetime | None, Field(description=f"of these; at most {WITHIN_SECONDS // 3600} hours ago")]
    newest: Annotated[AwareDatetime | None, Field(description="of these; null: there are none")]
    deployments: Annotated[list[LatencyView], Field(description="those with at least 5 answers")]


class KnowledgeView(View):
    """What the explanation knows of what workers see, and what it does not."""

    latencies: LatenciesView
    gates_read_at: Annotated[AwareDatetime, Field(description="when `held_up` of the steps was read from the database")]
    unknown: Annotated[
        dict[str, str],
        Field(description="what each worker has in its own memory, by its name, and what was counted with instead"),
    ]


_UNKNOWN = {
    "own_latencies": "a worker that got 5 answers of a deployment itself goes by its own last 200",
    "prompt_caches": "which deployments read a beginning from their cache lately: counted as none",
    "output_lengths": "how long the last answers of the organization were: counted as 256 tokens where the job does "
    "not say max_output_tokens",
    "provider_keys": "which keys a worker has: those of the process that answers were counted with",
}


def knowledge_view(seen: Observation, shown: Iterable[str]) -> dict[str, Any]:
    """What was known of the deployments that are `shown` (their ids)."""
    known, ended = seen.observed.seconds, seen.answered.ended
    oldest, newest = (None, None) if ended is None else ended
    read_at = rfc3339(seen.at)
    return {
        "latencies": {
            "read_at": read_at,
            "answers": seen.answered.count,
            "oldest": rfc3339(oldest),
            "newest": rfc3339(newest),
            "deployments": [
                {"deployment": name, "median": known[name].median, "high": known[name].high}
                for name in sorted(shown)
                if name in known
            ],
        },
        "gates_read_at": read_at,
        "unknown": _UNKNOWN,
    }


def held_up_view(found: HeldUp | None, *, open_to_all: bool) -> dict[str, Any] | None:
    """`open_to_all`: whether the key may see why."""
    if found is None:
        return None
    return {
        "gate": found.gate,
        "names": list(found.names),
        "until": rfc3339(found.until),
        "reason": (found.reason or None) if open_to_all else None,
    }
