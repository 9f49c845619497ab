"""The Python client of SynthralOS: submit LLM jobs, wait for them, follow their events; sync and async."""

from synthralos_client.async_client import AsyncClient
from synthralos_client.client import Client
from synthralos_client.deltas import Delta
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
from synthralos_client.models import TERMINAL, BulkResult, Event, Failure, Health, Job, Key, Organization
from synthralos_client.request_fields import Constraints, JobFilters, JobOptions, JobRequest, KeyOptions, RerouteOptions

__all__ = [
    "TERMINAL",
    "ApiError",
    "AsyncClient",
    "AuthenticationError",
    "BulkResult",
    "Client",
    "ConfigurationError",
    "Conflict",
    "ConnectError",
    "Constraints",
    "Delta",
    "Event",
    "Failure",
    "FieldError",
    "Health",
    "InvalidRequest",
    "Job",
    "JobFilters",
    "JobOptions",
    "JobRequest",
    "Key",
    "KeyOptions",
    "NotFound",
    "Organization",
    "PermissionDenied",
    "RateLimited",
    "RerouteOptions",
    "ServerError",
    "SynthralosError",
    "WaitTimeout",
]
