"""Identifiers look like Stripe's: a prefix that tells the kind, then letters and digits nobody can guess."""

from __future__ import annotations

import random

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Ids:
    """A source of identifiers, random by default and repeatable when it is given a seed."""

    def __init__(self, seed: int | None = None) -> None:
        # A seed is for runs that must repeat; without one the ids come from the system's own source.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def new(self, prefix: str, length: int = 24) -> str:
        """Answers a fresh identifier such as `pi_3Nk...`, with `length` characters after the prefix."""
        return f"{prefix}_{self.letters(length)}"

    def letters(self, length: int) -> str:
        """Answers `length` random letters and digits (62 kinds, so 24 of them hold 142 bits)."""
        # One big draw and repeated division is several times quicker than `length` small draws.
        number = self._random.getrandbits(6 * length)
        picked = []
        for _ in range(length):
            number, rest = divmod(number, 62)
            picked.append(_LETTERS[rest])
        return "".join(picked)

    def digits(self, length: int) -> str:
        """Answers `length` random digits, the first of them no zero."""
        return str(self._random.randrange(10 ** (length - 1), 10**length))
