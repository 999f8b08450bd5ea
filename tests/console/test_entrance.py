"""The way into the console: passwords, the second factor, limits, and logins that end."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone

from tests import shop
from tests.console import desk
from todoku.audit.models import Entry
from todoku.console import roles
from todoku.staff import mails, second_factor, tries
from todoku.staff.models import Browser, Try, Visit

PASSWORD = "a crab, a melon and some butter"
HERE = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture(autouse=True)
def _english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def person(name: str = "hanako", role: str = roles.OPERATOR) -> User:
    """Somebody with a password."""
    user = User(username=name, email=f"{name}@example.jp")
    user.set_password(PASSWORD)
    user.save()
    roles.give(user, role)
    return user


def browser(**facts: str) -> Client:
    """A browser that speaks English."""
    client = Client(**{**HERE, **facts})
    client.cookies["todoku_language"] = "en"
    return client


def log_in(client: Client, name: str = "hanako", password: str = PASSWORD, **more: str) -> Any:
    """Type name and password into the login."""
    return client.post("/console/login/", {"username": name, "password": password, **more})


def enrolled(user: User) -> str:
    """Give somebody a second factor whose last code is an hour old; its secret."""
    secret = second_factor.new_secret()
    assert second_factor.enrol(user, secret, digits(secret))
    Authenticator.objects.filter(user=user, type="totp").update(
        data={"secret": second_factor.Adapter().encrypt(secret), "last_step": step() - 120}
    )
    return secret


def step() -> int:
    """The time step of this moment."""
    return int(time.time()) // 30


def digits(secret: str, ahead: int = 0) -> str:
    """What the app shows, now or so many steps from now."""
    return totp.format_hotp_value(totp.hotp_value(secret, step() + ahead))


def acts(*kinds: str) -> list[tuple[str, str]]:
    """The audit log's lines of these kinds, the oldest first."""
    return list(Entry.objects.filter(act__in=kinds).order_by("id").values_list("who", "act"))


# Name and password -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("typed", ["hanako", "hanako@example.jp", "HANAKO@example.jp"])
def test_a_name_or_a_mail_address_and_the_password_let_in_and_lead_to_the_wanted_page(typed: str) -> None:
    person()
    client = browser()
    before = client.get("/console/order/order/")
    assert before.headers["Location"] == "/console/login/?next=/console/order/order/"
    assert log_in(client, typed, next="/console/order/order/").headers["Location"] == "/console/order/order/"
    assert client.get("/console/order/order/").status_code == 200
    assert acts("login") == [("hanako", "login")]
    [visit] = Visit.objects.all()
    assert (visit.ip, visit.ended_at) == ("192.0.2.7", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/cart/", "javascript:alert(1)", "\x00"]
)
def test_nobody_is_sent_elsewhere_after_the_login(elsewhere: str) -> None:
    person()
    assert log_in(browser(), next=elsewhere).headers["Location"] == "/console/"


@pytest.mark.django_db
def test_an_unknown_name_a_wrong_password_a_shopper_and_somebody_deactivated_get_the_same_answer() -> None:
    person()
    person("gone")
    person("owner", roles.OWNER)
    roles.deactivate(User.objects.get(username="gone"))
    User.objects.create_user("no-staff", password=PASSWORD)
    bodies = set()
    for name, password in (("hanako", "wrong"), ("nobody", "wrong"), ("gone", PASSWORD), ("no-staff", PASSWORD)):
        answer = log_in(browser(), name, password)
        assert answer.status_code == 200
        body = re.sub(r"csrfmiddlewaretoken.*?>|value=\"[^\"]*\"", "", answer.content.decode())
        bodies.add(body)
        assert "is not right" in body
    assert len(bodies) == 1
    # A name that is nobody's may be a password in the wrong field: it is not kept.
    assert acts("login_failed") == [(who, "login_failed") for who in ("hanako", "?", "gone", "no-staff")]


@pytest.mark.django_db
def test_an_unknown_name_costs_as_much_work_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth.hashers import MD5PasswordHasher

    person()
    worked: list[str] = []
    plain = MD5PasswordHasher.encode

    def count(hasher: Any, password: str, salt: str) -> str:
        worked.append(password)
        return plain(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", count)
    counts = []
    for name in ("hanako", "nobody"):
        worked.clear()
        log_in(browser(), name, "wrong")
        counts.append(len(worked))
    assert counts == [1, 1]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", " ", "\x00", "x" * 300, "🦀", "' or 1=1 --", "a\r\nb"])
def test_whatever_is_typed_is_answered(name: str) -> None:
    assert log_in(browser(), name, "\x00🦀").status_code in (200, 429)
    assert not Visit.objects.exists()


# Limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_five_wrong_passwords_the_right_one_does_not_help_for_a_quarter_of_an_hour() -> None:
    person()
    for n in range(5):
        assert log_in(browser(REMOTE_ADDR=f"192.0.2.{n}"), password="wrong").status_code == 200
    # From wherever it comes, and for a name that is nobody's just the same.
    assert log_in(browser(REMOTE_ADDR="192.0.2.99")).status_code == 429
    assert ("hanako", "locked_out") in acts("locked_out")
    Try.objects.update(at=timezone.now() - timedelta(minutes=16))
    assert log_in(browser()).status_code == 302
    for n in range(6):
        status = log_in(browser(REMOTE_ADDR=f"198.51.100.{n}"), "nobody", "wrong").status_code
    assert status == 429


@pytest.mark.django_db
def test_twenty_tries_from_one_address_in_an_hour_are_enough_whatever_the_names() -> None:
    person()
    codes = [log_in(browser(), f"name{n}", "wrong").status_code for n in range(22)]
    assert codes == [200] * 20 + [429] * 2
    assert log_in(browser(REMOTE_ADDR="192.0.2.8")).status_code == 302


@pytest.mark.django_db
def test_who_guesses_from_elsewhere_does_not_lock_out_the_browser_that_the_account_knows() -> None:
    person()
    mine = browser()
    assert log_in(mine).status_code == 302
    mine.post("/console/logout/")
    for n in range(9):
        log_in(browser(REMOTE_ADDR=f"198.51.100.{n}"), password="wrong")
    assert log_in(browser(REMOTE_ADDR="203.0.113.1")).status_code == 429
    assert log_in(mine).status_code == 302


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
def test_of_twenty_guesses_at_the_same_moment_no_more_than_five_are_looked_at(
    guarded: bool, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    person()
    if not guarded:
        # Counted before the try is written down, as a cache would.
        def late(limit: tries.Limit, about: str) -> int | None:
            key = tries._key(limit, about)
            if Try.objects.filter(kind=limit.kind, key=key).count() >= limit.most:
                return None
            time.sleep(0.3)
            return int(Try.objects.create(kind=limit.kind, key=key).pk)

        monkeypatch.setattr(tries, "take", late)
    together = threading.Barrier(15)

    def guess(n: int) -> int:
        together.wait()
        try:
            return int(log_in(browser(REMOTE_ADDR=f"198.51.100.{n}"), password="wrong").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(15) as pool:
        looked_at = list(pool.map(guess, range(15))).count(200)
    assert (looked_at <= 5) is guarded


# The second factor -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_password_alone_opens_nothing_for_who_has_a_second_factor() -> None:
    secret = enrolled(person())
    client = browser()
    answer = log_in(client, next="/console/order/order/")
    assert unquote(answer.headers["Location"]) == "/console/code/?next=/console/order/order/"
    assert client.get("/console/order/order/").headers["Location"].startswith("/console/login/")
    before = client.cookies["sessionid"].value
    answer = client.post("/console/code/", {"code": digits(secret), "next": "/console/order/order/"})
    assert answer.headers["Location"] == "/console/order/order/"
    assert client.cookies["sessionid"].value != before
    assert client.get("/console/order/order/").status_code == 200


@pytest.mark.django_db
def test_a_code_counts_once_and_so_does_the_one_before_it() -> None:
    user = person()
    secret = enrolled(user)
    code, earlier = digits(secret), digits(secret, -1)
    assert second_factor.passes(user, f" {code[:3]} {code[3:]} ") == "totp"
    assert second_factor.passes(user, code) is None
    assert second_factor.passes(user, earlier) is None
    assert second_factor.passes(user, digits(secret, 5)) is None


def test_of_ten_browsers_with_the_same_code_one_gets_in(transactional_db: None) -> None:
    user = person()
    code = digits(enrolled(user))
    together = threading.Barrier(10)

    def use(_: int) -> str | None:
        together.wait()
        try:
            return second_factor.passes(user, code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert sorted(map(str, pool.map(use, range(10)))) == ["None"] * 9 + ["totp"]


@pytest.mark.django_db
def test_a_recovery_code_lets_in_once() -> None:
    user = person()
    enrolled(user)
    codes = second_factor.codes(user)
    assert len(codes) == 10
    for code, status in ((codes[0], 302), (codes[0], 422), (codes[1], 302)):
        client = browser()
        log_in(client)
        assert client.post("/console/code/", {"code": code}).status_code == status
    assert len(second_factor.codes(user)) == 8


@pytest.mark.django_db
def test_after_five_wrong_codes_one_has_to_start_again_and_wait() -> None:
    secret = enrolled(person())
    client = browser()
    log_in(client)
    for wrong in ("", "x" * 41, "000000", "🦀", "12345", "111111", "222222"):
        assert client.post("/console/code/", {"code": wrong}).status_code == 422
    assert client.post("/console/code/", {"code": digits(secret)}).headers["Location"] == "/console/login/"
    log_in(client)
    assert client.post("/console/code/", {"code": digits(secret)}).headers["Location"] == "/console/login/"
    Try.objects.all().delete()
    log_in(client)
    assert client.post("/console/code/", {"code": digits(secret)}).status_code == 302


@pytest.mark.django_db
def test_secrets_are_not_in_the_database_as_they_are() -> None:
    user = person()
    secret = enrolled(user)
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))


@pytest.mark.django_db
def test_whoever_needs_a_second_factor_and_has_none_can_set_one_up_and_do_nothing_else(settings: Any) -> None:
    settings.STAFF_MFA = True
    user = person(role=roles.OWNER)
    client = browser()
    assert log_in(client).status_code == 302
    for elsewhere in ("/console/", "/console/order/order/", "/console/logins/", "/console/auth/user/add/"):
        assert client.get(elsewhere).headers["Location"] == "/console/second-factor/"
    assert client.post(f"/console/auth/user/{user.pk}/do/end/").headers["Location"] == "/console/second-factor/"

    shown = client.get("/console/second-factor/").content.decode()
    assert "<svg" in shown
    secret = "".join(re.findall(r"tk-key-text\">([A-Z2-7 ]+)<", shown)[0].split())
    assert client.post("/console/second-factor/", {"code": "000000"}).status_code == 422
    assert client.get("/console/second-factor/").content.decode().count(secret[:4]) > 0
    assert client.post("/console/second-factor/", {"code": digits(secret)}).headers["Location"].endswith("/codes/")

    codes = re.findall(r"<code>(\d{4} \d{4})</code>", client.get("/console/second-factor/codes/").content.decode())
    assert len(codes) == 10
    assert "<code>" not in client.get("/console/second-factor/codes/").content.decode()
    assert client.get("/console/order/order/").status_code == 200
    assert second_factor.passes(user, digits(secret)) is None, "the code of the set-up is used up"
    assert acts("second_factor") == [("hanako", "second_factor")]


@pytest.mark.django_db
def test_a_login_from_before_the_second_factor_ends_when_one_is_needed(settings: Any) -> None:
    user = person()
    client = browser()
    log_in(client)
    enrolled(user)
    assert client.get("/console/").status_code == 200
    settings.STAFF_MFA = True
    assert client.get("/console/").headers["Location"].startswith("/console/login/")


# Logins that end -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "harm",
    [
        {"seen_at": timedelta(minutes=31)},
        {"began_at": timedelta(hours=8, minutes=1)},
    ],
)
def test_a_login_ends_after_half_an_hour_of_silence_and_after_eight_hours(harm: dict[str, timedelta]) -> None:
    person()
    client = browser()
    log_in(client)
    Visit.objects.update(**{name: timezone.now() - age for name, age in harm.items()})
    sent = client.get("/console/order/order/")
    assert unquote(sent.headers["Location"]) == "/console/login/?next=/console/order/order/"
    assert Visit.objects.get().ended_at is not None
    Visit.objects.update(seen_at=timezone.now(), began_at=timezone.now())
    assert client.get("/console/").status_code == 302


@pytest.mark.django_db
def test_somebody_who_works_stays_in() -> None:
    person()
    client = browser()
    log_in(client)
    for _ in range(3):
        Visit.objects.update(seen_at=timezone.now() - timedelta(minutes=20))
        assert client.get("/console/").status_code == 200
    assert timezone.now() - Visit.objects.get().seen_at < timedelta(minutes=1)


@pytest.mark.django_db
def test_a_page_that_asks_by_itself_keeps_nobody_in() -> None:
    person()
    client = browser()
    log_in(client)
    Visit.objects.update(seen_at=timezone.now() - timedelta(minutes=20))
    assert client.get("/console/now/", headers={"X-By-Itself": "yes"}).status_code == 200
    assert timezone.now() - Visit.objects.get().seen_at > timedelta(minutes=19)
    Visit.objects.update(seen_at=timezone.now() - timedelta(minutes=31))
    assert client.get("/console/now/", headers={"X-By-Itself": "yes"}).status_code == 302


@pytest.mark.django_db
def test_all_other_logins_end_when_told_to_with_a_new_password_and_at_deactivation() -> None:
    user = person()
    person("owner", roles.OWNER)

    def three() -> list[Client]:
        clients = [browser() for _ in range(3)]
        for client in clients:
            log_in(client)
        return clients

    def inside(clients: list[Client]) -> list[bool]:
        return [client.get("/console/logins/").status_code == 200 for client in clients]

    clients = three()
    clients[0].post("/console/logins/")
    assert inside(clients) == [True, False, False]

    clients = three()
    new = {"old_password": PASSWORD, "new_password1": PASSWORD + " too", "new_password2": PASSWORD + " too"}
    assert clients[0].post("/console/password_change/", new).status_code == 302
    assert inside(clients) == [True, False, False]
    assert ("hanako", "password") in acts("password")

    user.set_password(PASSWORD)
    user.save()
    clients = three()
    roles.deactivate(user)
    assert inside(clients) == [False, False, False]


@pytest.mark.django_db
def test_after_the_logout_the_old_cookie_opens_nothing() -> None:
    person()
    client, thief = browser(), browser()
    log_in(client)
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert thief.get("/console/").status_code == 200
    assert client.get("/console/logout/").status_code == 405
    client.post("/console/logout/")
    assert thief.get("/console/").headers["Location"].startswith("/console/login/")
    assert acts("logout") == [("hanako", "logout")]


# Mails, links and proving it again -------------------------------------------------------------------------------


@pytest.fixture
def mailbox(transactional_db: None, mailoutbox: list[Any]) -> list[Any]:
    """What was mailed."""
    return mailoutbox


def test_an_invited_person_sets_a_password_by_the_mails_link_once(mailbox: list[Any]) -> None:
    owner = desk.member("owner", roles.OWNER)
    form = {"username": "taro", "email": "taro@example.jp", "role": roles.SHIPPING}
    for wrong in ({"username": "花子"}, {"username": "OWNER"}, {"email": "owner@example.jp"}, {"role": "god"}):
        assert owner.post("/console/auth/user/add/", {**form, **wrong}).status_code == 422
    assert owner.post("/console/auth/user/add/", form).status_code == 302
    shop.work_off()
    [letter] = mailbox
    assert letter.to == ["taro@example.jp"]
    link = re.findall(r"http://127\.0\.0\.1:8000(/console/password/\S+)", letter.body)[0]
    assert link not in str(list(Entry.objects.values_list("what", "after")))

    taro = browser()
    page = taro.get(link)
    hidden = page.headers["Location"]
    assert "password/" in hidden and link.split("/")[-2] not in hidden
    assert taro.post(hidden, {"new_password1": "short", "new_password2": "short"}).status_code == 200
    assert (
        taro.post(hidden, {"new_password1": PASSWORD, "new_password2": PASSWORD}).headers["Location"]
        == "/console/login/"
    )
    assert "used already" in browser().get(link, follow=True).content.decode()
    assert log_in(taro, "taro").status_code == 302
    assert taro.get("/console/fulfilment/delivery/").status_code == 200
    assert taro.get("/console/order/order/").status_code == 403


def test_a_forgotten_password_is_answered_the_same_whoever_asks_and_the_link_is_mailed(
    mailbox: list[Any],
) -> None:
    person()
    pages = []
    for address in ("hanako@example.jp", "nobody@example.jp"):
        answer = browser().post("/console/forgotten/", {"email": address}, follow=True)
        pages.append(re.sub(r"csrfmiddlewaretoken.*?>", "", answer.content.decode()))
    assert pages[0] == pages[1]
    shop.work_off()
    assert [letter.to for letter in mailbox] == [["hanako@example.jp"]]
    for _ in range(3):
        browser().post("/console/forgotten/", {"email": "hanako@example.jp"})
    assert browser().post("/console/forgotten/", {"email": "hanako@example.jp"}).status_code == 422


def test_a_login_with_a_new_browser_is_told_by_mail_and_waits_for_no_mail_server(
    mailbox: list[Any], settings: Any
) -> None:
    person()
    mine = browser()
    log_in(mine)
    mine.post("/console/logout/")
    log_in(mine)
    shop.work_off()
    assert mailbox == []

    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    began = time.monotonic()
    assert log_in(browser(HTTP_USER_AGENT="Mozilla/5.0 (elsewhere)")).status_code == 302
    assert time.monotonic() - began < 2
    assert shop.waiting_jobs() == 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    shop.work_off()
    [letter] = mailbox
    assert "elsewhere" in letter.body and "192.0.2.7" in letter.body
    assert Browser.objects.count() == 2


@pytest.mark.django_db
def test_a_role_is_given_only_by_an_owner_who_has_lately_shown_the_password(settings: Any) -> None:
    owner, other = person("owner", roles.OWNER), person()
    client = browser()
    log_in(client, "owner")
    link = f"/console/auth/user/{other.pk}/role/"
    session = client.session
    session["proved_at"] = int(time.time()) - 601
    session.save()

    answer = client.post(link, {"role": roles.OWNER})
    assert answer.headers["Location"].startswith("/console/prove/?next=")
    assert roles.role_of(User.objects.get(pk=other.pk)) == roles.OPERATOR
    assert client.post("/console/prove/", {"password": "wrong"}).status_code == 422
    back = unquote(answer.headers["Location"]).partition("next=")[2]
    assert client.post("/console/prove/", {"password": PASSWORD, "next": back}).headers["Location"] == back
    assert client.post(link, {"role": roles.OWNER}).status_code == 302
    assert roles.role_of(User.objects.get(pk=other.pk)) == roles.OWNER
    [entry] = Entry.objects.filter(act="role")
    assert entry.change == [("role", "operator", "owner")]
    assert entry.role == "owner"

    # Who was only given Django's permissions, without the role, gives nobody anything.
    pretender = desk.operator("pretender", "auth.view_user", "auth.change_user", "auth.add_user")
    assert pretender.post(link, {"role": roles.READ_ONLY}).status_code == 403
    assert owner.pk


@pytest.mark.django_db
def test_an_owner_helps_who_lost_the_phone_and_lets_nobody_in_who_left() -> None:
    person("owner", roles.OWNER)
    user = person()
    enrolled(user)
    client = browser()
    log_in(client, "owner")
    press = f"/console/auth/user/{user.pk}/do/"
    assert client.get(press + "end/").status_code == 405
    assert client.post(press + "nonsense/").status_code == 404
    client.post(press + "second-factor/")
    assert not second_factor.has(user)
    client.post(press + "deactivate/")
    assert log_in(browser()).status_code == 200
    client.post(press + "activate/")
    assert log_in(browser()).status_code == 302
    me = User.objects.get(username="owner").pk
    said = client.post(f"/console/auth/user/{me}/do/deactivate/", follow=True).content.decode()
    assert "last owner" in said
    assert User.objects.get(pk=me).is_active


@pytest.mark.django_db
def test_a_link_of_another_person_or_a_broken_one_opens_nothing() -> None:
    user, other = person(), person("other")
    link = mails.link(user).partition(":8000")[2]
    uid, token = link.strip("/").split("/")[2:4]
    wrong = mails.link(other).strip("/").split("/")[-2]
    for broken in (f"/console/password/{wrong}/{token}/", f"/console/password/{uid}/x/", "/console/password/%00/x/"):
        assert browser().get(broken, follow=True).status_code in (200, 404)
        assert "used already" in browser().get(broken, follow=True).content.decode() or "%00" in broken
