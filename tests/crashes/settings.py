"""The shop's own settings for processes that are there to be killed: nobody has collected the static files for them."""

from __future__ import annotations

from todoku.settings import *  # noqa: F403
from todoku.settings import STORAGES

STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
