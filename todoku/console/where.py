"""Where a request comes from."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def ip(request: HttpRequest) -> str:
    """The address of whoever asks; behind a proxy the one that the proxy saw, never one that the asker claims."""
    claimed = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        # A proxy adds what it saw at the end; what stands before that anybody may have written.
        claimed = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() or claimed
    try:
        return str(ipaddress.ip_address(claimed))
    except ValueError:
        return ""
