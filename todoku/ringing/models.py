"""The bell's channels, and a log of what was told to whom."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from todoku.ringing import rules


class Channel(models.Model):
    """One way to tell the operators that something needs a person.

    ``address`` may hold a secret (a Slack webhook's address is one): it is never shown in full again, and never
    logged. A channel that the environment names keeps no address; it is read from the settings when it rings.
    """

    class Kind(models.TextChoices):
        """What a channel speaks."""

        MAIL = rules.MAIL, _("mail")
        SNS = rules.SNS, _("Amazon SNS")
        APPRISE = rules.APPRISE, _("chat and others (Slack, Teams, LINE, Discord …)")

    class Language(models.TextChoices):
        """In which language a channel is told."""

        BOTH = "both", _("Japanese and English")
        JA = "ja", "日本語"
        EN = "en", "English"

    name = models.CharField(_("name"), max_length=60, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.MAIL)
    address = models.TextField(_("address"), blank=True, max_length=rules.LONGEST_ADDRESS)
    #: Those of the lowest number are rung first; the next ones when nobody was reached for five minutes.
    turn = models.PositiveSmallIntegerField(
        _("turn"), default=1, help_text=_("1 is rung first; 2 when nobody was reached on 1 for five minutes.")
    )
    language = models.CharField(_("language"), max_length=8, choices=Language.choices, default=Language.BOTH)
    on = models.BooleanField(_("on"), default=True)
    #: Where in the settings it stands (``TODOKU_BELL 2``); empty for one that was made in the console.
    from_settings = models.CharField(max_length=40, blank=True)
    #: How it is doing: in a row failed so often, since when, why, and when it is tried again.
    failures = models.PositiveIntegerField(_("failures"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    trouble = models.CharField(_("trouble"), max_length=200, blank=True)
    rest_until = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(_("last got through"), null=True, blank=True)
    #: One worker rings on a channel at a time; should it die, another goes on after this moment.
    in_hand_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("bell channel")
        verbose_name_plural = _("bell channels")
        ordering = ["turn", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def whole_address(self) -> str:
        """The address itself, from the settings if they name it; for the one that rings, and for nobody else."""
        if not self.from_settings:
            return self.address
        return next((one.address for name, one in named_by_settings() if name == self.from_settings), "")

    @property
    def masked(self) -> str:
        """Where it leads, without its secrets."""
        address = self.whole_address
        return rules.mask(self.kind, address) if address else "–"


def named_by_settings() -> list[tuple[str, rules.Named]]:
    """The channels that the environment names, each with the name under which its row stands."""
    if settings.BELL:
        return [(f"TODOKU_BELL {number}", one) for number, one in enumerate(settings.BELL, 1)]
    if settings.OPERATOR_EMAILS:
        return [("TODOKU_OPERATOR_EMAILS", rules.Named(rules.MAIL, ", ".join(settings.OPERATOR_EMAILS), 1))]
    return []


class Ring(models.Model):
    """That one channel is to be told, or has been told, of one case.

    It is written before anything is sent, so that a ring outlives whoever was to send it. Rings of one channel and
    one cause that are due together go out as one message.
    """

    case = models.ForeignKey("notify.Case", on_delete=models.CASCADE, related_name="rings", verbose_name=_("case"))
    channel = models.ForeignKey(
        Channel, on_delete=models.SET_NULL, null=True, related_name="rings", verbose_name=_("channel")
    )
    #: Kept with the ring: the channel may be gone one day.
    channel_name = models.CharField(_("channel"), max_length=60)
    code = models.CharField(_("cause"), max_length=64)
    step = models.CharField(_("step"), max_length=64, blank=True)
    #: Which channels could not be reached, when this one rings in their place.
    instead_of = models.CharField(_("instead of"), max_length=200, blank=True)
    made_at = models.DateTimeField(_("ordered"))
    tries = models.PositiveIntegerField(_("tries"), default=0)
    tried_at = models.DateTimeField(_("last tried"), null=True, blank=True)
    sent_at = models.DateTimeField(_("told"), null=True, blank=True)
    #: Set when it no longer has to be told: the case is closed, or the channel is gone.
    dropped_at = models.DateTimeField(null=True, blank=True)
    trouble = models.CharField(_("trouble"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("ring")
        verbose_name_plural = _("rings")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["case", "channel"],
                condition=models.Q(sent_at=None, dropped_at=None),
                name="one_ring_to_come_per_case_and_channel",
            )
        ]
        indexes = [
            models.Index(
                fields=["channel", "made_at"],
                condition=models.Q(sent_at=None, dropped_at=None),
                name="ring_to_come",
            ),
            models.Index(fields=["channel", "code", "step", "-sent_at"], name="ring_lately"),
        ]

    def __str__(self) -> str:
        return f"{self.code} of case {self.case_id} on {self.channel_name}"

    @property
    def state(self) -> str:
        """How it stands: told, failed (it is tried again), waiting, or dropped."""
        if self.sent_at is not None:
            return "told"
        if self.dropped_at is not None:
            return "dropped"
        return "failed" if self.tries else "waiting"


def facts(channel: Channel) -> dict[str, Any]:
    """How a channel does, for a page or a log: never with its address."""
    return {"channel": channel.name, "kind": channel.kind, "failures": channel.failures, "trouble": channel.trouble}
