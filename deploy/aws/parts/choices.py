"""What a person may choose about the shop on AWS, read from CDK's context and refused when it makes no sense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from constructs import Node


@dataclass(frozen=True)
class Choices:
    """The choices, with their defaults."""

    name: str = "Todoku"
    domain: str = ""
    certificate: str = ""
    settings_secret: str = "todoku/settings"
    database_secret: str = ""
    operators: str = ""
    smtp_host: str = ""
    #: More settings for the functions, as JSON: {"TODOKU_KONBINI": "off"}. No secrets.
    environment: str = "{}"
    #: At most so many steps at once: each keeps one connection to the database.
    steps_at_once: int = 50
    #: At most so many pages at once.
    pages_at_once: int = 100
    #: A function's memory (MB); a processor of its own comes with 1,769.
    memory: int = 1024
    #: Aurora's least and greatest capacity (ACU). 0.5 at least: waking from 0 takes 15 seconds.
    least_capacity: float = 0.5
    greatest_capacity: float = 16

    @classmethod
    def read(cls, node: Node) -> Self:
        """Read the choices; raises ValueError with what to do."""
        found = {}
        for field, default in cls.__dataclass_fields__.items():
            value = node.try_get_context(field)
            if value is not None:
                found[field] = type(default.default)(value)
        chosen = cls(**found)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,29}", chosen.name):
            raise ValueError("name: a letter, then letters, digits and hyphens, 30 at most")
        if bool(chosen.domain) != bool(chosen.certificate):
            raise ValueError("domain and certificate go together: give both or neither")
        return chosen
