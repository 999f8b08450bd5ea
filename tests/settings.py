"""The shop's own settings, on a real PostgreSQL, with the rehearsal Stripe behind the in-process door."""

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
from todoku.settings import STATIC_ROOT, STORAGES  # noqa: E402

# Nobody has collected the static files for a test, but WhiteNoise looks for their folder.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
# A test that has changed a price wants to see it at once.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
STRIPE_HTTP_CLIENT = "tests.stripe_door.client"
# A round that is due by the real clock would disturb a test that counts; tests play the periodic jobs themselves.
PROCRASTINATE_PERIODIC_DEFAULTS = {"max_delay": 0}
# A test asks as fast as it can; those of the limiter set their own limits.
STRIPE_PER_SECOND = STRIPE_PER_ENDPOINT = 0
# What a test chooses in the console holds at once (it is forgotten then), and no test counts a query too many.
SHOP_KEPT_FOR = 3600
# The same algorithm as the shop's, with as little work as it allows: a password costs a test a tenth of a second else.
PASSWORD_HASHERS = ["tests.argon2.QuickArgon2"]
