"""Calls, deployments and credentials for tests of providers."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from pipelines.providers.protocol import Call
from synthralos.config.credentials import Credentials, CredentialsNow
from synthralos.config.key_sources import Key
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Request
from synthralos.domain.money import Price

KEY_VARIABLE, KEY_NAME = "TEST_API_KEY", "test"
KEY = "sk-test-0123456789abcdef"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PRICE = Price(Decimal("1"), Decimal("4"), Decimal("0.1"), "2026-01-01")


def deployment(adapter: str = "openai", **changes: Any) -> Deployment:
    plain = Deployment(
        id=f"{adapter}/model@us",
        provider=adapter,
        model="model",
        region="us",
        adapter=adapter,
        upstream_model="model",
        base_url="",
        context_window=100_000,
        max_output=4_000,
        price=PRICE,
        api_key_env=None if adapter == "sandbox" else KEY_VARIABLE,
    )
    return replace(plain, **changes)


def credentials(*deployments: Deployment, key: str = KEY, sandbox: str = "on") -> CredentialsNow:
    known = Key(KEY_NAME, KEY_VARIABLE, SecretStr(key))
    found = Credentials({KEY_NAME: known} if key else {}, Catalog(list(deployments)), sandbox)
    return lambda: found


def request(prompt: str = "Say hello.", provider_options: dict[str, Any] | None = None, **body: Any) -> Request:
    return Request("auto", {"messages": [{"role": "user", "content": prompt}], **body}, provider_options or {})


def call(to: Deployment, asked: Request | None = None, *, timeout: float = 30.0, attempt_no: int = 1) -> Call:
    return Call(new_id(), attempt_no, to, asked or request(), timeout, TRACEPARENT)
