"""The rehearsal speaks one version of Stripe's API, the one the installed SDK is generated for."""

from typing import Final

API_VERSION: Final = "2026-10-28.endive"
"""The version that answers, events and webhook endpoints carry (Stripe's changelog, train "endive")."""

# Not secrets: they open nothing but a rehearsal.
SECRET_KEY: Final = "sk_test_rehearsal"  # noqa: S105
PUBLISHABLE_KEY: Final = "pk_test_rehearsal"
WEBHOOK_SECRET: Final = "whsec_rehearsal"  # noqa: S105
BASE_URL: Final = "http://127.0.0.1:8010"
