"""The prompt-size guard: characters and tokens, held against the organization's plan and the model's window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.tokens import TextSize, TokenCounter, encoding_for, prompt_size, prompt_texts
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from synthralos.domain.limits import PlanLimits

NEAR = 0.9
"""From this part of a limit on, a prompt is flagged."""


@dataclass(frozen=True, slots=True)
class _TokenLimit:
    """The most tokens a prompt may have, whose limit it is, and what helps against it."""

    tokens: int
    owner: str
    remedy: str


class PromptSizeGuard:
    """Denies prompts that are too large, flags those near a limit, and says nothing about the rest.

    Tokens are counted exactly only where the number of bytes, an upper bound, is near the limit.
    A batch is a plain loop: with numpy, making the arrays alone costs more than the comparisons do.
    """

    name = "prompt_size"

    def __init__(self, catalog: Catalog, counter: TokenCounter, limits_for: Callable[[str, str], PlanLimits]) -> None:
        """`limits_for` gives what an organization on an account plan may do."""
        self._counter = counter
        self._limits_for = limits_for
        self._windows = _largest_windows(catalog)

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        return [self._inspect(job) for job in jobs]

    def _inspect(self, job: Job) -> Finding | None:
        size = prompt_size(job.request)
        limits = self._limits_for(job.tenant.organization, job.tenant.account_plan)
        # An embedding's texts have a window each, which routing looks at.
        window = None if job.request.embeds else self._windows.get(job.request.model)
        room = limits.prompt_tokens if window is None else window - (job.request.max_output_tokens or 0)
        most = min(limits.prompt_tokens, room)
        if size.upper_bound < NEAR * most and size.characters < NEAR * limits.prompt_characters:
            return None
        if room <= 0:
            return _no_room(job, window or 0)
        if size.characters > limits.prompt_characters:
            return _too_many_characters(job, size, limits)
        limit = _token_limit(job, limits.prompt_tokens, room)
        return self._by_tokens(job, size, limit) or _nearly(
            job, "characters", size.characters, limits.prompt_characters
        )

    def _by_tokens(self, job: Job, size: TextSize, limit: _TokenLimit) -> Finding | None:
        if size.upper_bound < NEAR * limit.tokens:
            return None
        tokens = size.images + self._counter.count(prompt_texts(job.request), encoding_for(job.request.model))
        if tokens <= limit.tokens:
            return _nearly(job, "tokens", tokens, limit.tokens)
        remedy = f"send smaller images, or fewer; {limit.remedy}" if size.images else limit.remedy
        signals = {"tokens": tokens, "token_limit": limit.tokens, "limited_by": limit.owner}
        images = f" ({size.images} of them for images)" if size.images else ""
        return _deny(
            f"{job.request.prompt_field} has {tokens} tokens{images}, {limit.owner} allows {limit.tokens}: {remedy}",
            "messages",
            {**signals, "image_tokens": size.images} if size.images else signals,
        )


def _largest_windows(catalog: Catalog) -> dict[str, int]:
    """The largest context window, in tokens, behind every name that a request can ask for."""
    return {
        name: max(d.context_window for d in catalog.matching(name)) for name in catalog.names if catalog.knows(name)
    }


def _token_limit(job: Job, plan_tokens: int, room: int) -> _TokenLimit:
    if plan_tokens <= room:
        remedy = f"shorten the {job.request.prompt_field}, or move the organization to a larger plan"
        return _TokenLimit(plan_tokens, f"the {job.tenant.account_plan} plan", remedy)
    output = job.request.max_output_tokens
    owner = f"the context window of {job.request.model}" + (f" less {output} of max_output_tokens" if output else "")
    return _TokenLimit(
        room, owner, "shorten the messages, lower max_output_tokens, or ask for a model with a larger window"
    )


def _too_many_characters(job: Job, size: TextSize, limits: PlanLimits) -> Finding:
    owner, field = f"the {job.tenant.account_plan} plan", job.request.prompt_field
    remedy = f"shorten the {field}, or move the organization to a larger plan"
    reason = f"{field} has {size.characters} characters, {owner} allows {limits.prompt_characters}: {remedy}"
    signals = {"characters": size.characters, "character_limit": limits.prompt_characters, "limited_by": owner}
    return _deny(reason, "messages", signals)


def _no_room(job: Job, window: int) -> Finding:
    output = job.request.max_output_tokens
    reason = (
        f"max_output_tokens is {output}, which leaves no room for messages in the context window of "
        f"{job.request.model} ({window} tokens): lower max_output_tokens"
    )
    return _deny(reason, "max_output_tokens", {"max_output_tokens": output, "context_window": window})


def _nearly(job: Job, unit: str, measured: int, limit: int) -> Finding | None:
    if measured < NEAR * limit:
        return None
    field = job.request.prompt_field
    reason = f"{field} has {measured} {unit} of at most {limit}: shorten it before it is refused"
    signals = {unit: measured, f"{unit.removesuffix('s')}_limit": limit, "plan": job.tenant.account_plan}
    return Finding(PromptSizeGuard.name, Decision.FLAG, reason, "messages", signals=signals)


def _deny(reason: str, field: str, signals: dict[str, object]) -> Finding:
    return Finding(PromptSizeGuard.name, Decision.DENY, reason, field, signals=signals)
