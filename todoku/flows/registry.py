"""Every flow of the shop: its definition's text, its steps by name, and when it is worth a play.

The checkout stands here. What lives above the flows (a refund) brings its own flow when Django starts.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from todoku.flows import checkout, definition, looks
from todoku.flows.looks import Looks
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
    looks: Looks


_flows: dict[str, tuple[Mapping[str, Step], Looks]] = {"checkout": (checkout.STEPS, looks.CHECKOUT)}


def register(name: str, steps: Mapping[str, Step], when: Looks) -> None:
    """Add a flow, whose definition is ``<name>.asl.json`` in this folder; an app does this once, in ``ready``.

    Raises ValueError when another flow has a step of the same name: the ledger tells steps apart by their names.
    """
    for other, (known, _when) in _flows.items():
        if other != name and (same := known.keys() & steps.keys()):
            raise ValueError(f"{name} and {other} both have a step called {', '.join(sorted(same))}")
    _flows[name] = (steps, when)


@functools.cache
def flow(name: str) -> Registered:
    """The flow of that name, read and checked once. Raises KeyError for an unknown one."""
    steps, when = _flows[name]
    text = (HERE / f"{name}.asl.json").read_text(encoding="utf-8")
    return Registered(
        name=name,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        flow=definition.read(text, steps=steps),
        steps=steps,
        looks=when,
    )


def names() -> list[str]:
    """The names of all flows."""
    return list(_flows)
