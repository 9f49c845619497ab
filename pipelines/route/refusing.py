"""The failures of jobs that no plan can be made for."""

from collections.abc import Callable, Iterable, Sequence

from pipelines.route.sieve import Loss
from synthralos.domain.failures import Failure, FailureClass


def nothing_left(losses: Sequence[Loss], ids: Callable[[int], Sequence[str]]) -> Failure:
    """The failure of a job that no deployment may do; `ids` names the deployments of a loss.

    Its class is the one that kept all the otherwise fitting deployments away, where it is the same for all.
    """
    relevant = [loss for loss in losses if not loss.unrelated] or list(losses)
    classes = {loss.failure_class for loss in relevant} - {FailureClass.INVALID_REQUEST}
    by_reason: dict[str, list[str]] = {}
    for loss in relevant:
        by_reason.setdefault(loss.cause.text, []).extend(ids(loss.which))
    listed = "; ".join(f"{reason} ({', '.join(deployments)})" for reason, deployments in by_reason.items())
    return Failure(
        classes.pop() if len(classes) == 1 else FailureClass.INVALID_REQUEST,
        f"no deployment may do this job: {listed or 'the catalog is empty'}",
    )


def unknown_strategy(name: str, known: Iterable[str]) -> Failure:
    """The failure of a job that asks for a strategy that there is not."""
    message = f"constraints.strategy is {name}, which is none of: {', '.join(sorted(known))}"
    return Failure(FailureClass.INVALID_REQUEST, message)
