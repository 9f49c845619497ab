"""The jobs that the benchmarks send."""

import json
from typing import Any

_PROMPTS = (
    "Summarize the attached minutes in five bullet points and name who has to do what until when.",
    "Translate into German, keep the tone friendly and the product names as they are:",
    "Which of these invoices look like duplicates? Answer with their numbers and a reason each.",
    "Write a polite answer to this customer, who waits for a parcel since last Tuesday.",
    "Extract name, street, postal code and city from the text and return them as JSON.",
    "Explain to a new colleague why the nightly import is slow and what could be tried first.",
    "Classify the message as bug, question, praise or complaint. Answer with one word.",
    "Write a SQL query that lists customers without an order in the last ninety days.",
)
_CONTEXT = (
    "The shipment left the warehouse on Monday and was last scanned in the sorting center on Wednesday morning. ",
    "Revenue rose by four percent against last year, mostly from the new plans; churn stayed where it was. ",
    "Please check the figures in the second table again, since two of the rows do not add up to the total. ",
    "The meeting moved to Thursday at ten because the room is taken; everyone has confirmed but the auditors. ",
)


def job(number: int) -> dict[str, Any]:
    """A job request like those of real senders: 200 to 1,600 characters of prompt, some metadata."""
    context = "".join(_CONTEXT[(number + i) % len(_CONTEXT)] for i in range(1 + number % 14))
    return {
        "prompt": f"{_PROMPTS[number % len(_PROMPTS)]}\n\n[{number}] {context}",
        "max_output_tokens": 256,
        "metadata": {"source": "benchmark", "number": number},
    }


def job_array(first: int, count: int) -> bytes:
    """The body of a submission of `count` jobs."""
    return json.dumps([job(number) for number in range(first, first + count)]).encode()
