"""What the refund's tests share with those of the flow: a clock that is moved by hand."""

from __future__ import annotations

from tests.flows.conftest import clock

__all__ = ["clock"]
