"""The shop's way to AWS: one client for each service and process, with patience set by us."""

from __future__ import annotations

import functools
from typing import Any

import boto3
from botocore.config import Config

#: Who calls waits at most this long for one answer (seconds); a call that failed or was throttled is tried again.
_PATIENCE = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=50
)


@functools.cache
def client(service: str) -> Any:
    """The client of an AWS service; key, region and endpoint come from the environment, as AWS's own tools read them.

    boto3's clients may be shared between threads (its documentation, Multithreading or multiprocessing with clients).
    """
    return boto3.Session().client(service, config=_PATIENCE)  # type: ignore[call-overload]  # any service by name


def forget() -> None:
    """Make the clients anew: a test has another AWS."""
    client.cache_clear()
