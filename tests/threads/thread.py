"""Name the public threads that a test rebuilds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

#: The list has so many threads.
LISTED = 74
Test = TypeVar("Test", bound=Callable[..., Any])


def thread(*numbers: int, seen: str) -> Callable[[Test], Test]:
    """Say which threads of the list a test rebuilds, and where they can be read: ``repository#number (year)``.

    The test's docstring says what went wrong there, and what must be true here. Several numbers mean that the
    threads tell of one and the same situation.
    """
    assert numbers, "a thread has a number"
    assert all(1 <= number <= LISTED for number in numbers), numbers

    def named(test: Test) -> Test:
        test.threads, test.seen = numbers, seen  # type: ignore[attr-defined]
        return test

    return named
