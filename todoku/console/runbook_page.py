"""The runbook as a page of the console, in the operator's language."""

from __future__ import annotations

import re

import markdown
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from todoku import runbook


def _anchor(heading: str, separator: str) -> str:
    """Name a heading as GitHub does, so that a link leads to the same place in both."""
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", separator))


def as_html(text: str) -> str:
    """Turn the runbook into HTML. It is a file of the shop's own; HTML that might stand in it is shown, not used."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    made: str = markdown.markdown(
        escaped, extensions=["toc", "tables", "sane_lists"], extension_configs={"toc": {"slugify": _anchor}}
    )
    # The pages that stand beside it in the repository are not pages of the console.
    return re.sub(r'<a href="(?!#|https://)[^"]*">(.*?)</a>', r"\1", made)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the runbook to whoever may enter the console; it holds nothing about any order."""
    language = "ja" if (get_language() or "ja").startswith("ja") else "en"
    return TemplateResponse(
        request,
        "console/runbook.html",
        {
            **admin.site.each_context(request),
            "title": _("Runbook"),
            # The text is our own file, and as_html escapes whatever HTML stands in it.
            "text": mark_safe(as_html(runbook.whole(language))),  # noqa: S308
            "codes": sorted(runbook.sections(language)),
            "site": settings.SITE_URL,
        },
    )
