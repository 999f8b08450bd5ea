"""What the open cases have in common: so many of each cause and step."""

from __future__ import annotations

from django.db.models import Count

from todoku.notify.models import Case


def causes(*, resumable: bool = False) -> list[tuple[str, str, int]]:
    """Each cause and step of the open cases with how many there are, the most frequent first. One query.

    ``resumable`` leaves out the findings, which no Resume can mend.
    """
    rows = Case.objects.filter(closed_at=None).order_by()
    if resumable:
        rows = rows.filter(execution__isnull=False, execution__flow="checkout")
    counted = rows.values_list("code", "step").annotate(n=Count("id")).order_by("-n", "code", "step")
    return [(code, step, n) for code, step, n in counted]
