"""What a call is expected to take of a quota, and what of that it did not use."""

from pipelines.flow.pacer import RANKS, Need, Pacer
from pipelines.flow.work import Work
from pipelines.limits.outputs import Outputs
from synthralos.domain.deployments import Deployment
from synthralos.domain.money import Usage
from synthralos.domain.overlays import Priority
from synthralos.domain.quota_units import Unit
from synthralos.domain.states import Lane

_TOKENS = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)

_RANK = {priority: rank for rank, priority in enumerate(Priority)}


def rank_of(work: Work) -> int:
    """Where the job stands in a line: interactive before bulk, and by its priority within; the lowest first."""
    priority = _RANK[work.job.overlay.priority or Priority.NORMAL]
    return priority if work.lane is Lane.INTERACTIVE else RANKS // 2 + priority


class Needs:
    """Remembers how long answers were, by quota. Lives on the event loop."""

    def __init__(self) -> None:
        self._outputs = Outputs()

    def of(self, work: Work, deployment: Deployment, pacer: Pacer, *, likely: bool = False) -> dict[Unit, float]:
        """What the call is expected to take of each limited unit (`likely`: in the mean).

        Where an answer's length is not bounded, of few calls the 95th percentile of past ones is taken; of many the
        mean and less and less beyond it, since their sum strays the less.
        """
        rates = pacer.rates
        need = {Unit.REQUESTS: 1.0} if Unit.REQUESTS in rates else {}
        if not any(unit in rates for unit in _TOKENS):
            return need
        prompt = float(work.prompt_tokens)
        most = work.job.request.max_output_tokens
        high, mean = self._outputs.lengths("", pacer.name)
        beyond = 0.0 if likely else max(0.0, high - mean) / (pacer.calls + 1) ** 0.5
        output = mean + beyond if most is None else min(mean, most) if likely else most
        output = min(output, deployment.max_output)
        each = {Unit.TOKENS: prompt + output, Unit.INPUT_TOKENS: prompt, Unit.OUTPUT_TOKENS: output}
        return need | {unit: amount for unit, amount in each.items() if unit in rates}

    def unused(self, name: str, need: Need, usage: Usage) -> dict[Unit, float]:
        """What was taken from the quota and not used, of each unit of tokens; less than nothing where more was used."""
        self._outputs.learn("", name, usage.output)
        # What is read from a prompt cache counts where tokens are counted in one, and not where input is apart.
        used = {
            Unit.TOKENS: usage.input + usage.output,
            Unit.INPUT_TOKENS: usage.input - usage.cached,
            Unit.OUTPUT_TOKENS: usage.output,
        }
        return {unit: amount - used[unit] for unit, amount in need.items() if unit in used}
