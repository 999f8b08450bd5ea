"""A shopper with a browser, as the tests of the pages have one."""

from __future__ import annotations

from tests.pages.conftest import visitor

__all__ = ["visitor"]
