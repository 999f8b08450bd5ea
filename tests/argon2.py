"""Argon2 with as little work as it allows: for passwords that guard nothing."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """The shop's own hasher, in a hurry."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1
