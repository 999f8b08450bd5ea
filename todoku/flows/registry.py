"""Every flow of the shop: its definition's text, and its steps by name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from todoku.flows import checkout, definition
from todoku.flows.step import Step

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Registered:
    """A flow as this version of the shop has it."""

    name: str
    text: str
    digest: str
    flow: definition.Flow
    steps: Mapping[str, Step]


@functools.cache
def flow(name: str) -> Registered:
    """The flow of that name, read and checked once. Raises KeyError for an unknown one."""
    steps = {"checkout": checkout.STEPS}[name]
    text = (HERE / f"{name}.asl.json").read_text(encoding="utf-8")
    return Registered(
        name=name,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        flow=definition.read(text, steps=steps),
        steps=steps,
    )


def names() -> list[str]:
    """The names of all flows."""
    return ["checkout"]
