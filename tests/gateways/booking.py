"""A process of its own that books moments as fast as it gets them, and prints each by the clock on the wall.

``python -m tests.gateways.booking <database> <how many>``
"""

from __future__ import annotations

import os
import sys
import time


def main(name: str, number: int) -> None:
    """Book so many moments in this database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    from django.conf import settings

    django.setup()
    settings.DATABASES["default"]["NAME"] = name
    settings.STRIPE_PER_SECOND, settings.STRIPE_PER_ENDPOINT = 40, 20
    from todoku.gateways import limiter

    for _ in range(number):
        moment = limiter.book("confirm", limiter.WORKER)
        time.sleep(max(0.0, moment - time.monotonic()))
        print(time.time())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
