"""People and roles, in words for somebody who is no developer; Django's own tables for them are not for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from procrastinate.contrib.django.models import ProcrastinateJob

from todoku.console import people, roles
from todoku.console.entrance import guard
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.templatetags.console import jst
from todoku.staff import mails, second_factor, visits

for plain in (User, Group, EmailAddress, Authenticator, ProcrastinateJob):
    if admin.site.is_registered(plain):
        admin.site.unregister(plain)

#: What an owner can do to somebody with one press: the word in the address, what it does, and what is said then.
PRESSES: dict[str, tuple[Callable[[HttpRequest, User], object], Any]] = {
    "deactivate": (people.deactivate, gettext_lazy("Nobody can log in as %(name)s any more.")),
    "activate": (people.activate, gettext_lazy("%(name)s may log in again.")),
    "second-factor": (
        people.reset_second_factor,
        gettext_lazy("%(name)s sets up a new second step at the next login."),
    ),
    "link": (people.send_link, gettext_lazy("A link to set a password is on its way to %(name)s.")),
    "end": (people.end_visits, gettext_lazy("All logins of %(name)s have ended.")),
}


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """Everybody who may log in to the console. Nobody is deleted, so that every act keeps its name."""

    detail_template = "console/person.html"
    list_display = ("username", "full_name", "email", "role", "second_step", "seen", "state")
    list_filter = ("is_active", "groups")
    ordering = ("-is_active", "username")
    search_fields = ("username", "email", "last_name", "first_name")
    search_help_text = gettext_lazy("User name, name or mail address")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Owners invite people."""
        return people.may_manage(request)

    def get_urls(self) -> list[URLPattern]:
        """What an owner does about people."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/role/", view(self.role_view), name="auth_user_role"),
            path("<int:pk>/do/<slug:press>/", view(self.press_view), name="auth_user_press"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Invite somebody: a name, a mail address and a role. They set their own password by the mail's link."""
        if not people.may_manage(request):
            raise PermissionDenied
        if (sent := guard.ask_again(request)) is not None:
            return sent
        form = people.InviteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            user = people.invite(request, form.cleaned_data)
            messages.success(request, _("%(name)s is invited: the mail is on its way.") % {"name": user})
            return HttpResponseRedirect(address(user))
        return TemplateResponse(
            request,
            "console/invite.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Invite somebody"),
                "list_title": self.opts.verbose_name_plural,
                "list_link": reverse("admin:auth_user_changelist"),
                "form": form,
                "roles": list(roles.ROLES.values()),
            },
            status=422 if request.method == "POST" else 200,
        )

    def role_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give somebody a role."""
        user = self._person(request, pk)
        if isinstance(user, HttpResponse):
            return user
        form = people.RoleForm(request.POST)
        if not form.is_valid():
            return self.show(request, user, status=422, role_form=form)
        try:
            if people.give_role(request, user, form.cleaned_data["role"]):
                messages.success(request, _("The role is changed, and holds from now on."))
        except roles.LastOwner:
            _say_last_owner(request)
        return HttpResponseRedirect(address(user))

    def press_view(self, request: HttpRequest, pk: int, press: str) -> HttpResponse:
        """One of the acts that need no form."""
        if press not in PRESSES:
            raise Http404
        user = self._person(request, pk)
        if isinstance(user, HttpResponse):
            return user
        act, said = PRESSES[press]
        try:
            act(request, user)
            messages.success(request, said % {"name": user})
        except roles.LastOwner:
            _say_last_owner(request)
        return HttpResponseRedirect(address(user))

    def _person(self, request: HttpRequest, pk: int) -> User | HttpResponse:
        """Whom an act is about, or why it may not be done: only a POST, by an owner who lately proved who they are."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not people.may_manage(request):
            raise PermissionDenied
        user = User.objects.filter(pk=pk).first()
        if user is None:
            raise Http404
        return guard.ask_again(request, address(user)) or user

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Bring along role and second factor, so that a list of any length asks as often."""
        people_: QuerySet[User] = super().get_queryset(request)
        totp = Authenticator.objects.filter(user_id=OuterRef("pk"), type=Authenticator.Type.TOTP)
        return people_.prefetch_related("groups").annotate(has_second=Exists(totp))

    @display(description=gettext_lazy("person's name"), ordering="last_name")
    def full_name(self, user: User) -> str:
        """Family name first, as in Japan."""
        return f"{user.last_name} {user.first_name}".strip() or "–"

    @display(description=gettext_lazy("role"))
    def role(self, user: User) -> str:
        """What the person may."""
        names = {group.name for group in user.groups.all()}
        key = roles.OWNER if user.is_superuser else next((key for key in roles.ROLES if key in names), "")
        return roles.name_of(key)

    @display(description=gettext_lazy("two-step login"), boolean=True)
    def second_step(self, user: Any) -> bool:
        """Whether the person has set up a second factor."""
        return bool(user.has_second)

    @display(description=gettext_lazy("last login"), ordering="last_login")
    def seen(self, user: User) -> str:
        """When the person last logged in."""
        return jst(user.last_login)

    @display(description=gettext_lazy("may log in"), boolean=True, ordering="is_active")
    def state(self, user: User) -> bool:
        """Whether the person may log in."""
        return user.is_active

    def title(self, thing: User) -> str:
        """The heading: who it is."""
        return f"{self.full_name(thing)} ({thing.username})" if thing.last_name or thing.first_name else thing.username

    def page(self, request: HttpRequest, thing: User) -> Page:
        """Who somebody is, what they may, where they are logged in, and what an owner can do about it."""
        user, manages = thing, people.may_manage(request)
        key = roles.role_of(user)
        more: dict[str, Any] = {"person": user, "manages": manages, "has_second": second_factor.has(user)}
        if manages:
            more["role_form"] = people.RoleForm(initial={"role": key})
            more["link"] = mails.link(user) if user.is_active and not user.has_usable_password() else ""
        return Page(
            cards=[
                Card(
                    _("Person"),
                    [
                        Fact(_("User name"), user.username, mono=True),
                        Fact(_("Mail"), user.email or "–"),
                        Fact(_("Role"), roles.name_of(key)),
                        Fact(
                            _("May log in"),
                            _("yes") if user.is_active else _("no"),
                            state="yes" if user.is_active else "no",
                        ),
                        Fact(_("Two-step login"), _("on") if more["has_second"] else _("off")),
                        Fact(_("Last login"), jst(user.last_login)),
                        Fact(_("Invited at"), jst(user.date_joined)),
                    ],
                )
            ],
            tables=[
                Table(
                    _("Open logins"),
                    [
                        (
                            Fact(_("Logged in at"), jst(visit.began_at)),
                            Fact(_("Last seen"), jst(visit.seen_at)),
                            Fact(_("IP address"), visit.ip or "–", mono=True),
                            Fact(_("Browser"), visit.browser[:80] or "–"),
                        )
                        for visit in visits.open_visits(user)
                    ],
                    _("Not logged in anywhere."),
                )
            ],
            more=more,
        )


def _say_last_owner(request: HttpRequest) -> None:
    messages.error(
        request, _("Nothing was changed: this is the last owner, and somebody has to be able to give roles.")
    )


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """The roles: what their holders may see and do. They are part of the program (console/roles.py)."""

    list_display = ("called", "how_many")
    search_fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """The shop's own roles, with how many people have each."""
        groups: QuerySet[Group] = super().get_queryset(request)
        return groups.annotate(people=Count("user", filter=Q(user__is_active=True))).order_by("pk")

    @display(description=gettext_lazy("role"))
    def called(self, group: Group) -> str:
        """The role's name."""
        return roles.name_of(group.name) if group.name in roles.ROLES else group.name

    def says(self, group: Group) -> str:
        """What its holders do."""
        return str(roles.ROLES[group.name].says) if group.name in roles.ROLES else "–"

    @display(description=gettext_lazy("people"))
    def how_many(self, group: Any) -> str:
        """How many have it."""
        return f"{group.people:,}"

    def title(self, thing: Group) -> str:
        """The heading: the role's name."""
        return self.called(thing)

    def page(self, request: HttpRequest, thing: Group) -> Page:
        """What the role may do with each kind of thing, and who has it."""
        may = _may(thing)
        return Page(
            cards=[Card(_("Role"), [Fact(_("What it is for"), self.says(thing))])],
            tables=[
                Table(
                    _("What its holders may"),
                    [(Fact(_("Thing"), name), Fact(_("May"), " · ".join(words))) for name, words in may.items()],
                    _("Nothing."),
                ),
                Table(
                    _("Who has it"),
                    [
                        (
                            Fact(_("User name"), user.username, link(request, "auth", "user", user.pk)),
                            Fact(_("Name"), f"{user.last_name} {user.first_name}".strip() or "–"),
                        )
                        for user in thing.user_set.filter(is_active=True).order_by("username")[:100]
                    ],
                    _("Nobody."),
                ),
            ],
        )


#: What one may do with a thing.
VERBS = {
    "view": gettext_lazy("look at"),
    "add": gettext_lazy("add"),
    "change": gettext_lazy("change and act on"),
    "delete": gettext_lazy("delete"),
}


def _may(group: Group) -> dict[str, list[str]]:
    """What a role may do with each kind of thing that the console shows."""
    if group.name == roles.OWNER:
        return {_("everything"): [_("everything that the console can do")]}
    may: dict[str, list[str]] = {}
    for permission in group.permissions.select_related("content_type").order_by("content_type", "codename"):
        model = permission.content_type.model_class()
        if model is None or not admin.site.is_registered(model):
            continue
        verb = permission.codename.partition("_")[0]
        plain = permission.codename == f"{verb}_{permission.content_type.model}" and verb in VERBS
        word = str(VERBS[verb] if plain else roles.CALLED.get(permission.codename, permission.name))
        may.setdefault(str(model._meta.verbose_name_plural), []).append(word)
    return may
