"""The shop's own settings for the simulator: one database connection, the simulated Stripe and mail behind it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from todoku import database

# The folder that make makes among the temporary files goes afterwards: nothing of it need survive a power cut.
database.ensure(lasting=Path(tempfile.gettempdir()).resolve() not in database.var().parents)
os.environ.setdefault("TODOKU_ENV", "rehearsal")
for name in ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"):
    os.environ.pop(name, None)

from todoku.settings import *  # noqa: E402, F403
from todoku.settings import DATABASES, STORAGES  # noqa: E402

DEBUG = False
# No pool and no health checks: everybody shares one connection, switched only where no transaction is open.
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
DATABASES["default"]["OPTIONS"].pop("pool", None)
DATABASES["default"]["OPTIONS"]["prepare_threshold"] = 1
DATABASES["default"]["OPTIONS"]["options"] += (
    " -c synchronous_commit=off -c timezone=UTC -c plan_cache_mode=force_generic_plan"
)
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
STRIPE_HTTP_CLIENT = "proof.simulator.stripe_door.client"
EMAIL_BACKEND = "proof.simulator.post_office.Backend"
LOGGING_CONFIG = None
# Its line of threads is no matter of one thread: the limiter across processes has tests of its own.
STRIPE_PER_SECOND = STRIPE_PER_ENDPOINT = 0
