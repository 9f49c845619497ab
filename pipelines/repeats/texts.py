"""What of a request is compared, and the key by which equal requests are found."""

from hashlib import blake2b

import orjson

from synthralos.domain.jobs import Job, Request

_OURS = ("system", "developer")


def compared_text(request: Request) -> str:
    """What users, tools and documents say: instructions of one's own are the same for many prompts."""
    return "\n".join(request.texts(without=_OURS))


def request_key(job: Job) -> str:
    """Equal for requests that are equal in everything a provider sees, and in what is demanded of the way they go."""
    request, constraints = job.request, job.constraints
    demanded = [constraints.classification, constraints.region, constraints.private_data, constraints.restore]
    demanded.append(constraints.zero_retention)
    whole = [request.model, request.body, request.provider_options, demanded, constraints.pin]
    return blake2b(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
