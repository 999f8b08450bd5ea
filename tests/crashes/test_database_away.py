"""The database is away: every door says so kindly, and asks to come again."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import psycopg_pool
import pytest
from django.db import connection
from django.test import Client

from todoku.catalog.models import Product


@pytest.fixture
def away(crab: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody gets a connection."""

    def refuse(*_args: object, **_more: object) -> None:
        raise psycopg.OperationalError("connection failed: Connection refused")

    connection.close()
    with monkeypatch.context() as gone:
        gone.setattr(psycopg_pool.ConnectionPool, "getconn", refuse)
        yield


def test_a_page_is_a_503_in_the_shops_own_words(away: None) -> None:
    for path in ("/", "/products/KANI/"):
        answer = Client(raise_request_exception=False, headers={"accept-language": "ja"}).get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "<html" in answer.content.decode()
        assert "OperationalError" not in answer.content.decode()


def test_a_fault_of_our_own_stays_a_500(crab: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    from todoku.storefront import page

    def break_down(*_args: object, **_more: object) -> None:
        raise ValueError("a fault of our own")

    monkeypatch.setattr(page, "render", break_down)
    assert Client(raise_request_exception=False).get("/").status_code == 500
