"""The list of threads is honest: enough of them, each named, none twice under another number."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.threads.thread import LISTED

#: So many of the public threads are rebuilt at least.
LEAST = 40


def rebuilt() -> list[Callable[..., Any]]:
    """Every test of this folder that names a thread."""
    names = [path.stem for path in Path(__file__).parent.glob("test_*.py")]
    modules = [importlib.import_module(f"tests.threads.{name}") for name in sorted(names)]
    return [
        test
        for module in modules
        for name, test in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and test.__module__ == module.__name__ and hasattr(test, "threads")
    ]


def test_at_least_forty_different_threads_are_rebuilt() -> None:
    numbers = {number for test in rebuilt() for number in test.threads}  # type: ignore[attr-defined]
    assert len(numbers) >= LEAST, sorted(numbers)
    assert numbers <= set(range(1, LISTED + 1))


def test_no_thread_is_counted_for_two_tests_and_no_test_is_a_copy_of_another() -> None:
    tests = rebuilt()
    numbers = [number for test in tests for number in test.threads]  # type: ignore[attr-defined]
    assert len(numbers) == len(set(numbers))
    bodies = [inspect.getsource(test).split('"""')[-1] for test in tests]
    assert len(set(bodies)) == len(tests)


def test_each_says_where_it_was_seen_what_went_wrong_and_what_is_true_here() -> None:
    for test in rebuilt():
        told = inspect.getdoc(test) or ""
        assert told.startswith("There: "), test
        assert "\n\nHere: " in told, test
        assert "#" in test.seen or "community" in test.seen, test  # type: ignore[attr-defined]
