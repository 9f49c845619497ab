"""The Python client of SynthralOS: submit LLM jobs, wait for them, follow their events; sync and async."""

from synthralos_client.async_client import AsyncClient
from synthralos_client.client import Client
from synthralos_client.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    Conflict,
    ConnectError,
    FieldError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    SynthralosError,
    WaitTimeout,
)
from synthralos_client.models import (
    TERMINAL,
    Constraints,
    Event,
    Failure,
    Health,
    Job,
    JobFilters,
    JobOptions,
    JobRequest,
    RerouteOptions,
)

__all__ = [
    "TERMINAL",
    "ApiError",
    "AsyncClient",
    "AuthenticationError",
    "Client",
    "ConfigurationError",
    "Conflict",
    "ConnectError",
    "Constraints",
    "Event",
    "Failure",
    "FieldError",
    "Health",
    "InvalidRequest",
    "Job",
    "JobFilters",
    "JobOptions",
    "JobRequest",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "RerouteOptions",
    "ServerError",
    "SynthralosError",
    "WaitTimeout",
]
