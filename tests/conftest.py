"""What every test of the shop may ask for."""

from __future__ import annotations
