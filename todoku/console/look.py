"""How the console looks: unfold's settings. Read by the settings, so it imports nothing that needs them."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

#: A calm sea green, from the lightest to the darkest.
SEA = {
    "50": "oklch(97.8% .012 195)",
    "100": "oklch(94.5% .026 195)",
    "200": "oklch(89% .045 195)",
    "300": "oklch(81% .065 195)",
    "400": "oklch(70% .08 196)",
    "500": "oklch(58% .085 197)",
    "600": "oklch(48.5% .078 198)",
    "700": "oklch(42% .068 199)",
    "800": "oklch(36% .056 200)",
    "900": "oklch(31% .046 201)",
    "950": "oklch(22% .036 202)",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Todoku",
    "SITE_HEADER": "Todoku",
    "SITE_SUBHEADER": _("The operator's console"),
    "SITE_SYMBOL": "package_2",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/parcel.svg")},
    ],
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": False,
    "ENVIRONMENT": "todoku.console.sidebar.environment",
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": SEA},
    "STYLES": [lambda request: static("console/console.css"), lambda request: static("console/case.css")],
    "SCRIPTS": [lambda request: static("console/console.js"), lambda request: static("console/case.js")],
    "ACCOUNT": {
        "navigation": [
            {"title": _("Your logins"), "link": reverse_lazy("admin:visits")},
            {"title": _("Two-step login"), "link": reverse_lazy("admin:second_factor")},
        ],
    },
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "show_all_applications": False,
        "navigation": "todoku.console.sidebar.navigation",
    },
}
