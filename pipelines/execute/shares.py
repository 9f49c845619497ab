"""What each job gets of a call that several of them shared: its vectors, and its part of the tokens.

The parts are whole tokens whose sum is what the provider counted; as prices are by the token, the sum of their costs is
the bill.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from pipelines.providers.protocol import Call
from pipelines.tokens import TokenCounter, encoding_for
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.money import Usage


def one_call(calls: Sequence[Call]) -> Call:
    """The call for all of them: the texts of all, the first one's name, and the time of the most patient one."""
    first, *others = calls
    texts = [text for call in calls for text in call.request.inputs]
    request = replace(first.request, body={**first.request.body, "input": texts})
    return replace(first, request=request, timeout=max(call.timeout for call in calls), others=len(others))


def shares_of(answer: Reply | Failure, calls: Sequence[Call], counter: TokenCounter) -> list[Reply | Failure]:
    """What each of the calls is answered, in their order."""
    usages = split_usage(answer.usage, weights(calls, counter)) if answer.usage is not None else [None] * len(calls)
    # The headers say what is left after one call, not after each.
    limits = [answer.limits, *[()] * (len(calls) - 1)]
    parts = list(zip(usages, limits, strict=True))
    if isinstance(answer, Failure):
        return [replace(answer, usage=usage, limits=left) for usage, left in parts]
    vectors = _vectors(answer, [len(call.request.inputs) for call in calls])
    return [
        replace(answer, usage=usage, limits=left, embeddings=each, tool_calls=[], thinking=[])
        for (usage, left), each in zip(parts, vectors, strict=True)
    ]


def weights(calls: Sequence[Call], counter: TokenCounter) -> list[int]:
    """The tokens of each call's texts by our own count: a provider says the sum alone."""
    sizes = [len(call.request.inputs) for call in calls]
    texts = [text for call in calls for text in call.request.inputs]
    counted = list(accumulate(counter.each(texts, encoding_for(calls[0].deployment.model)), initial=0))
    ends = list(accumulate(sizes, initial=0))
    return [counted[end] - counted[begin] for begin, end in pairwise(ends)]


def split_usage(usage: Usage, by: Sequence[int]) -> list[Usage]:
    """The usage in as many parts, by these weights; of each kind of token the sum is that of `usage`."""
    inputs = split(usage.input, by)
    cached, written, hour = (split(kind, inputs) for kind in (usage.cached, usage.cache_write, usage.cache_write_1h))
    output, reasoning = split(usage.output, by), split(usage.reasoning, by)
    return [
        replace(usage, input=i, output=o, cached=c, reasoning=r, cache_write=w, cache_write_1h=h)
        for i, o, c, r, w, h in zip(inputs, output, cached, reasoning, written, hour, strict=True)
    ]


def split(whole: int, by: Sequence[int]) -> list[int]:
    """A number in whole parts that are as the weights, as near as may be; what is left over goes to the largest
    remainders, the first of equals.

    Where all weights are 0 the parts are equal. Source: Hamilton's method of apportionment.
    """
    total = sum(by)
    if not total:
        by, total = [1] * len(by), len(by)
    parts = [whole * weight // total for weight in by]
    remainders = sorted(range(len(by)), key=lambda place: (-(whole * by[place] % total), place))
    for place in remainders[: whole - sum(parts)]:
        parts[place] += 1
    return parts


def _vectors(reply: Reply, counts: Sequence[int]) -> Iterator[list[list[float]] | list[str]]:
    found = reply.embeddings or []
    begin = 0
    for count in counts:
        yield found[begin : begin + count]
        begin += count
