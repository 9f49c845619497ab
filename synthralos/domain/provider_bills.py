"""What providers say that they billed: the cost reports of OpenAI and Anthropic, as their APIs export them.

Sources: OpenAI `GET /v1/organization/costs` (a page of day buckets, `amount.value` in USD, `line_item` such as
`gpt-4o-2024-08-06, input` where grouped by it) and Anthropic `GET /v1/organizations/cost_report` (day buckets, `amount`
in cents as decimal text, `model` where grouped by `description`).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

DAY = timedelta(days=1)
_OPENAI, _ANTHROPIC = "organization.costs.result", "cost_report"


class UnreadableBill(ValueError):
    """The document is no cost report; says where, and what to do."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A provider's amounts in USD by day (its beginning in UTC) and its name of the model; None: not told by model.

    `digest` names the document by its content.
    """

    provider: str
    amounts: Mapping[tuple[datetime, str | None], Decimal]
    digest: str

    @property
    def by_model(self) -> bool:
        """Whether every amount is of some model."""
        return all(model is not None for _, model in self.amounts)


def read_bill(text: str) -> Bill:
    """The bill in a page, or in an array of pages, of a cost report. Raises `UnreadableBill`."""
    try:
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise UnreadableBill(f"the file is not JSON ({error}): save the answer of the provider's cost report") from None
    pages = document if isinstance(document, list) else [document]
    amounts: defaultdict[tuple[datetime, str | None], Decimal] = defaultdict(Decimal)
    providers = set()
    for no, page in enumerate(pages):
        for provider, day, model, amount in _page(f"[{no}]" if isinstance(document, list) else "", page):
            providers.add(provider)
            amounts[day, model] += amount
    if len(providers) != 1:
        told = "holds no costs" if not providers else "holds costs of several providers"
        raise UnreadableBill(f"the file {told}: save the cost report of one provider")
    canonical = sorted(
        (day.isoformat(), model or "", str(amount.normalize())) for (day, model), amount in amounts.items()
    )
    [provider] = providers
    digest = hashlib.sha256(json.dumps([provider, canonical]).encode()).hexdigest()
    return Bill(provider, dict(amounts), digest)


def _page(where: str, page: Any) -> Iterable[tuple[str, datetime, str | None, Decimal]]:
    for no, bucket in enumerate(_list(where, page, "data")):
        place = f"{where}.data[{no}]".lstrip(".")
        for number, result in enumerate(_list(place, bucket, "results")):
            yield _result(f"{place}.results[{number}]", bucket, result)


def _list(where: str, value: Any, name: str) -> Sequence[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        path = f"{where}.{name}".lstrip(".")
        raise UnreadableBill(f"{path} is no array: save the answer of the provider's cost report as it is")
    return found


def _result(place: str, bucket: Any, result: Any) -> tuple[str, datetime, str | None, Decimal]:
    if not isinstance(result, dict):
        raise UnreadableBill(f"{place} is no object: save the answer of the provider's cost report as it is")
    if result.get("object") == _OPENAI:
        amount = result.get("amount")
        amount = amount if isinstance(amount, dict) else {}
        _require_usd(f"{place}.amount.currency", amount.get("currency"))
        day = _day(place, bucket, "start_time", "end_time")
        return "openai", day, _model(result.get("line_item")), _amount(f"{place}.amount.value", amount.get("value"))
    if "starting_at" in bucket and "amount" in result:
        _require_usd(f"{place}.currency", result.get("currency"))
        model = result.get("model") or result.get("description")
        cents = _amount(f"{place}.amount", result["amount"])
        return "anthropic", _day(place, bucket, "starting_at", "ending_at"), _text(model), cents / 100
    raise UnreadableBill(f"{place} holds no cost: a usage report has none, save the cost report instead")


def _model(line_item: Any) -> str | None:
    """`gpt-4o-2024-08-06, cached input` is of `gpt-4o-2024-08-06`."""
    text = _text(line_item)
    return None if text is None else text.partition(",")[0].strip()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _require_usd(path: str, currency: Any) -> None:
    if not isinstance(currency, str) or currency.lower() != "usd":
        raise UnreadableBill(f"{path} is {currency!r}: only US dollars can be compared with the ledger")


def _amount(path: str, value: Any) -> Decimal:
    try:
        amount = Decimal(value) if isinstance(value, str | Decimal) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or abs(amount) >= 1_000_000_000:
        raise UnreadableBill(f"{path} is no amount of money")
    return amount


def _day(place: str, bucket: Mapping[str, Any], begin: str, end: str) -> datetime:
    since, until = (_time(bucket.get(name)) for name in (begin, end))
    if since is None or until is None or until - since != DAY or since.time() != since.min.time():
        raise UnreadableBill(f"the bucket of {place} is no day of UTC: ask the provider for buckets of one day (`1d`)")
    return since


def _time(value: Any) -> datetime | None:
    try:
        if isinstance(value, Decimal):
            return datetime.fromtimestamp(int(value), UTC)
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
