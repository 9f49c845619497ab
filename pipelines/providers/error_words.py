"""The tables that say what an HTTP error from a provider means; `http_failures` reads them.

Sources: the error references of OpenAI, Anthropic, Azure and the Gemini API; the error bodies of vLLM, SGLang, TGI,
llama.cpp, Ollama, Bedrock, xAI, Mistral and Cohere.
"""

import re
from collections.abc import Mapping

from synthralos.domain.failures import FailureClass

BY_CODE: Mapping[str, FailureClass] = {
    # Money: not a rate limit, waiting does not help.
    "insufficient_quota": FailureClass.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": FailureClass.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureClass.QUOTA_EXHAUSTED,
    "billing_not_active": FailureClass.QUOTA_EXHAUSTED,
    "billing_error": FailureClass.QUOTA_EXHAUSTED,
    "linked_organization_billing_unavailable": FailureClass.QUOTA_EXHAUSTED,
    "billing_disabled": FailureClass.QUOTA_EXHAUSTED,
    # Too much at once.
    "rate_limit_exceeded": FailureClass.RATE_LIMITED,
    "rate_limit_error": FailureClass.RATE_LIMITED,
    "ramp_limit_exceeded": FailureClass.RATE_LIMITED,
    "too_many_requests": FailureClass.RATE_LIMITED,
    "resource_exhausted": FailureClass.RATE_LIMITED,
    # The service tier that was asked for (flex) has no room now, which is no limit of ours and no fault.
    "resource_unavailable": FailureClass.NO_CAPACITY,
    # The provider has no capacity.
    "overloaded_error": FailureClass.OVERLOADED,
    "engine_overloaded": FailureClass.OVERLOADED,
    "server_overloaded": FailureClass.OVERLOADED,
    "slow_down": FailureClass.OVERLOADED,
    "unavailable": FailureClass.OVERLOADED,
    "model_capacity_exhausted": FailureClass.OVERLOADED,
    # It gave up waiting for its own work.
    "timeout_error": FailureClass.TIMEOUT,
    "deadline_exceeded": FailureClass.TIMEOUT,
    # The key, or what it may do.
    "invalid_api_key": FailureClass.CREDENTIAL,
    "api_key_invalid": FailureClass.CREDENTIAL,
    "api_key_expired": FailureClass.CREDENTIAL,
    "authentication_error": FailureClass.CREDENTIAL,
    "permission_error": FailureClass.CREDENTIAL,
    "permission_denied": FailureClass.CREDENTIAL,
    "unauthenticated": FailureClass.CREDENTIAL,
    "account_deactivated": FailureClass.CREDENTIAL,
    "organization_on_hold": FailureClass.CREDENTIAL,
    "incorrect_hostname": FailureClass.CREDENTIAL,
    # This deployment does not take the request; another one may.
    "model_not_found": FailureClass.UNSUPPORTED,
    "model_not_available": FailureClass.UNSUPPORTED,
    "model_not_supported": FailureClass.UNSUPPORTED,
    "model_decommissioned": FailureClass.UNSUPPORTED,
    "model_deprecated": FailureClass.UNSUPPORTED,
    "invalid_model": FailureClass.UNSUPPORTED,
    "unsupported_model": FailureClass.UNSUPPORTED,
    "deploymentnotfound": FailureClass.UNSUPPORTED,
    "operationnotsupported": FailureClass.UNSUPPORTED,
    "not_found_error": FailureClass.UNSUPPORTED,
    "unsupported_parameter": FailureClass.UNSUPPORTED,
    "unsupported_value": FailureClass.UNSUPPORTED,
    "unknown_parameter": FailureClass.UNSUPPORTED,
    "organization_type_not_supported": FailureClass.UNSUPPORTED,
    "unsupported_country_region_territory": FailureClass.UNSUPPORTED,
    "region_not_supported": FailureClass.UNSUPPORTED,
    "unsupported_api_version": FailureClass.UNSUPPORTED,
    "integer_above_max_value": FailureClass.UNSUPPORTED,
    "array_above_max_length": FailureClass.UNSUPPORTED,
    "unimplemented": FailureClass.UNSUPPORTED,
    # The request.
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "exceed_context_size_error": FailureClass.CONTEXT_LENGTH,
    "model_max_prompt_tokens_exceeded": FailureClass.CONTEXT_LENGTH,
    "request_too_large": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTERED,
    "content_policy_violation": FailureClass.CONTENT_FILTERED,
    "responsibleaipolicyviolation": FailureClass.CONTENT_FILTERED,
    "moderation_blocked": FailureClass.CONTENT_FILTERED,
    "invalid_prompt": FailureClass.CONTENT_FILTERED,
}
"""Lower-case error codes, types and Google status names. Codes that end in one of `SPEND_LIMITS` are money, too."""

SPEND_LIMITS = ("_spend_limit_exceeded", "_spend_limit_reached")

MONEY = re.compile(
    r"credit balance is too low|you have reached your specified (?:workspace )?api usage limits"
    r"|\byour (?:prepa\w+ )?credits? (?:are|is|have been) (?:depleted|exhausted|used up)"
    r"|exceeded (?:its|your|the) (?:\w+ )?spend(?:ing)? (?:cap|limit)",
    re.IGNORECASE,
)
"""What Anthropic and Google say to an account without money, under codes that else mean a wrong or a frequent call."""

_BEYOND = r"exceed|longer|larger|greater|too (?:long|large|many|big)|maximum|overflow|reduce|does not fit|at most"

_LITTLE_SAID = (200, 400, 413, 422, 500)

BY_TEXT: tuple[tuple[re.Pattern[str], FailureClass, frozenset[int]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), failure_class, frozenset(statuses))
    for pattern, failure_class, statuses in (
        (r"api key not valid|api key expired", FailureClass.CREDENTIAL, _LITTLE_SAID),
        # OpenAI, vLLM, SGLang, llama.cpp, Ollama, LM Studio, Mistral, Fireworks.
        (
            rf"(?=.*context[ _-]?(?:length|window|size|limit))(?=.*(?:{_BEYOND}))",
            FailureClass.CONTEXT_LENGTH,
            _LITTLE_SAID,
        ),
        # Anthropic and Bedrock; xAI and vLLM; Gemini; Cohere; TGI and what is built on it.
        (
            r"\b(?:prompt|inputs?|messages?)\b[^.]{0,60}\b(?:too long|too large for|longer than)",
            FailureClass.CONTEXT_LENGTH,
            _LITTLE_SAID,
        ),
        (
            r"maximum (?:prompt|input|model|sequence|context)[ _-]?(?:length|len)|max_model_len",
            FailureClass.CONTEXT_LENGTH,
            _LITTLE_SAID,
        ),
        (
            r"exceed(?:s|ed)? (?:the )?(?:model'?s )?maximum number of (?:input )?tokens",
            FailureClass.CONTEXT_LENGTH,
            _LITTLE_SAID,
        ),
        (
            r"too many (?:input |prompt )?tokens|tokens in the prompt cannot exceed",
            FailureClass.CONTEXT_LENGTH,
            _LITTLE_SAID,
        ),
        (r"inputs`? (?:tokens|must have less than \d+ tokens)", FailureClass.CONTEXT_LENGTH, _LITTLE_SAID),
        # OpenAI's flex without room; Azure's for models that lack it. Sources: "Flex processing" of both.
        (r"resource[ _]unavailable", FailureClass.NO_CAPACITY, (429,)),
        (
            r"service[ _]tier\b.{0,80}(?:not|n't|un)[ -]?(?:support|available|valid)",
            FailureClass.NO_CAPACITY,
            (400, 404, 422),
        ),
        (r"content filtering policy|content management policy", FailureClass.CONTENT_FILTERED, _LITTLE_SAID),
        # The model, its parameters and their values, what it can do, where it may be used, its own limits, its roles.
        (
            r"(?:not|n't|no longer) (?:currently )?(?:be )?(?:support|available|enabled|accept|recogni[sz]ed|permitted)"
            r"|unsupported|not (?:a )?(?:chat|vision|multimodal) model|does not have access"
            r"|(?:model|deployment)\b.{0,200}?(?:not found|does not exist|not exist|unknown|deprecated|decommissioned)"
            r"|(?:unknown|invalid|no such|unrecognized) (?:model|parameter|argument|field|name|request argument)"
            r"|is deprecated for this model|cannot both be specified for this model"
            # Thoughts of another provider, or none, where this one wants its own.
            r"|missing (?:a )?`?thought_?signature|expected `thinking`|invalid `signature`"
            r"|only (?:the default|.{1,60}(?:is|are) supported)|roles? must alternate"
            r"|(?:max_(?:completion_|output_|new_)?tokens).{0,80}(?:too (?:large|high|big)|at most|less than|exceed)"
            r"|supports at most|is not allowed for this model",
            FailureClass.UNSUPPORTED,
            (200, 400, 404, 413, 422),
        ),
        (
            r"(?:country|region|territory|location)\b.{0,80}not (?:supported|available|allowed)"
            r"|not (?:supported|available|allowed) in your (?:country|region)",
            FailureClass.UNSUPPORTED,
            (200, 400, 403),
        ),
    )
)
"""Read only in answers of these statuses, which say little: the servers give them no code of their own."""

BY_STATUS: Mapping[int, FailureClass] = {
    401: FailureClass.CREDENTIAL,
    402: FailureClass.QUOTA_EXHAUSTED,
    403: FailureClass.CREDENTIAL,
    # A gateway stopped waiting for a model that was at work: the call may have been billed.
    408: FailureClass.TIMEOUT,
    504: FailureClass.TIMEOUT,
    524: FailureClass.TIMEOUT,
    # Another request holds the lock; the provider asks for a repeat.
    409: FailureClass.SERVER_ERROR,
    413: FailureClass.CONTEXT_LENGTH,
    # No such address, method, version or region here: the deployment's own affair.
    404: FailureClass.UNSUPPORTED,
    405: FailureClass.UNSUPPORTED,
    406: FailureClass.UNSUPPORTED,
    410: FailureClass.UNSUPPORTED,
    415: FailureClass.UNSUPPORTED,
    421: FailureClass.UNSUPPORTED,
    451: FailureClass.UNSUPPORTED,
    501: FailureClass.UNSUPPORTED,
    505: FailureClass.UNSUPPORTED,
    429: FailureClass.RATE_LIMITED,
    498: FailureClass.RATE_LIMITED,
    503: FailureClass.OVERLOADED,
    529: FailureClass.OVERLOADED,
}

BY_HUNDRED: Mapping[int, FailureClass] = {
    # A redirect is not followed: it would carry the key elsewhere. It means that base_url is wrong.
    3: FailureClass.SERVER_ERROR,
    4: FailureClass.INVALID_REQUEST,
    5: FailureClass.SERVER_ERROR,
}
