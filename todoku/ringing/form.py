"""What an owner types to make or change a channel of the bell."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from todoku.ringing import rules, send
from todoku.ringing.models import Channel
from todoku.ringing.words import REFUSALS

_QUIET = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}


class ChannelForm(forms.Form):
    """A channel. Its address is shown again only where it is no secret; left empty, it stays as it is."""

    name = forms.CharField(
        label=gettext_lazy("Name of the channel"),
        max_length=60,
        help_text=gettext_lazy("What you call it, such as “Office mail” or “Slack #orders”."),
        widget=UnfoldAdminTextInputWidget(attrs=_QUIET),
    )
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=Channel.Kind.choices, widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        label=gettext_lazy("Rings at"),
        max_length=rules.LONGEST_ADDRESS,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs=_QUIET),
    )
    turn = forms.IntegerField(
        label=gettext_lazy("Turn"),
        min_value=1,
        max_value=9,
        help_text=gettext_lazy("1 is rung first; 2 when nobody was reached on 1 for five minutes."),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"), choices=Channel.Language.choices, widget=UnfoldAdminSelectWidget
    )
    on = forms.BooleanField(label=gettext_lazy("On"), required=False, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, *args: Any, channel: Channel | None = None, **kwargs: Any) -> None:
        self.channel = channel
        super().__init__(*args, **kwargs)
        if channel is not None and channel.from_settings:
            # Where it leads stands in the settings, and is changed there.
            for name in ("kind", "address", "turn"):
                del self.fields[name]
            return
        advice = _(
            "Mail: the addresses, with commas between. SNS: the topic's ARN. Chat: the address that apprise "
            "takes, such as slack://TokenA/TokenB/TokenC/#orders."
        )
        if channel is not None:
            advice += " " + _("Leave it empty to keep the present one: %(masked)s") % {"masked": channel.masked}
        self.fields["address"].help_text = advice

    def clean_name(self) -> str:
        """Refuse a name that another channel has."""
        name: str = self.cleaned_data["name"]
        others = Channel.objects.filter(name=name)
        if self.channel is not None:
            others = others.exclude(pk=self.channel.pk)
        if others.exists():
            raise forms.ValidationError(_("There is a channel of this name already. Choose another one."))
        return name

    def clean(self) -> dict[str, Any]:
        """Examine the address by its kind."""
        given: dict[str, Any] = super().clean() or {}
        if "address" not in self.fields or "address" not in given or "kind" not in given:
            return given
        if not given["address"]:
            if self.channel is None or given["kind"] != self.channel.kind:
                self.add_error("address", _("Where is it to ring? Type the address."))
            else:
                given["address"] = self.channel.address
            return given
        try:
            given["address"] = rules.check(given["kind"], given["address"])
            if given["kind"] == rules.APPRISE:
                _examine(given["address"])
        except rules.BadAddress as error:
            self.add_error("address", REFUSALS[str(error)])
        return given


def _examine(url: str) -> None:
    """Raise ``BadAddress`` for a service that apprise does not know, and for a place that must not be spoken to."""
    if not send.is_readable(url):
        raise rules.BadAddress("unknown")
    try:
        send.refuse_internal(url)
    except send.Failed:
        raise rules.BadAddress("internal") from None
