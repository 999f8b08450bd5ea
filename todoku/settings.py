"""Django's settings, from the environment.

``TODOKU_ENV`` is ``rehearsal`` (the default: a shop on one machine with the rehearsal Stripe) or
``production``. Anything that is missing or contradicts itself is refused at start, with what to do.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from todoku import database
from todoku.console.look import UNFOLD as UNFOLD
from todoku.engines import machines
from todoku.gateways import keys
from todoku.ringing import rules as ringing
from todoku.telemetry import logs

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = database.var()


def _switch(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "default"):
        return default
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")


def _number(name: str, default: int, *, most: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or int(value) > most:
        raise ImproperlyConfigured(f"{name} must be a number from 0 to {most}, not {value!r}.")
    return int(value)


TODOKU_ENV = os.environ.get("TODOKU_ENV", "rehearsal")
if TODOKU_ENV not in ("rehearsal", "production"):
    raise ImproperlyConfigured(f"TODOKU_ENV must be rehearsal or production, not {TODOKU_ENV!r}.")
PRODUCTION = TODOKU_ENV == "production"
DEBUG = not PRODUCTION and _switch("TODOKU_DEBUG", False)


def _secret_key() -> str:
    key = os.environ.get("TODOKU_SECRET_KEY", "")
    if PRODUCTION:
        if len(key) < 50:
            raise ImproperlyConfigured("In production set TODOKU_SECRET_KEY to at least 50 random characters.")
        return key
    if key:
        return key
    # Outside production a key of this machine's own, kept so that yesterday's links and logins still work.
    kept = VAR / "secret_key"
    try:
        return kept.read_text()
    except FileNotFoundError:
        VAR.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: another process that starts at the same moment must not read half a key.
        made = VAR / f"secret_key.{os.getpid()}"
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
        with contextlib.suppress(FileExistsError):
            os.link(made, kept)
        made.unlink()
        return kept.read_text()


SECRET_KEY = _secret_key()

#: The shop's own address, for links in mails and Stripe's return: no slash at its end.
SITE_URL = os.environ.get("TODOKU_SITE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = [
    host
    for host in os.environ.get("TODOKU_ALLOWED_HOSTS", "" if PRODUCTION else "127.0.0.1,localhost").split(",")
    if host
]
CSRF_TRUSTED_ORIGINS = [SITE_URL]
#: Whether a proxy stands in front whose word for protocol and caller's address we take.
BEHIND_PROXY = PRODUCTION and _switch("TODOKU_BEHIND_PROXY", False)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "todoku.console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "procrastinate.contrib.django",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "todoku.telemetry",
    "todoku.gateways",
    "todoku.shop",
    "todoku.audit",
    "todoku.staff",
    "todoku.catalog",
    "todoku.cart",
    "todoku.stock",
    "todoku.quote",
    "todoku.order",
    "todoku.payment",
    "todoku.fulfilment",
    "todoku.notify",
    "todoku.ringing",
    "todoku.flows",
    "todoku.engines",
    "todoku.reconciliation",
    "todoku.recovery",
    "todoku.refund",
    "todoku.webhooks",
    "todoku.storefront",
    "todoku.mypage",
    "todoku.console",
    "todoku.big_shop",
]

MIDDLEWARE = [
    "todoku.telemetry.ties.TiesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "todoku.storefront.headers.HeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "todoku.storefront.language.LanguageMiddleware",
    "todoku.health.door.DoorMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "todoku.urls"
WSGI_APPLICATION = "todoku.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "todoku.storefront.context.shop",
            ],
        },
    }
]

# Without a URL the settings can still be read (for checks and builds), but nothing can be asked of the database.
DATABASES = {"default": database.django_settings(os.environ.get("DATABASE_URL") or "postgresql:///todoku")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},  # PCI DSS 4.0.1, 8.3.6
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
#: Whether the shop's people need a second factor (TOTP); whoever has none is led to set one up.
STAFF_MFA = _switch("TODOKU_STAFF_MFA", PRODUCTION)
#: A login without a sign of life ends after so long; whatever is done, it ends after SESSION_COOKIE_AGE.
STAFF_IDLE_MINUTES = _number("TODOKU_STAFF_IDLE_MINUTES", 30, most=8 * 60)
#: Before a role or a login is changed, the password must have been shown within so long.
STAFF_PROOF_MINUTES = 10
MFA_ADAPTER = "todoku.staff.second_factor.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
# Nobody signs up, and allauth's own pages are not served: the console's login is todoku/console/entrance.
ACCOUNT_EMAIL_VERIFICATION = "none"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "ja"
LANGUAGES = [("ja", "日本語"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "todoku" / "locale"]
TIME_ZONE = "Asia/Tokyo"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
#: A bucket for the products' pictures, where the shop has no disk of its own (AWS).
MEDIA_BUCKET = os.environ.get("TODOKU_MEDIA_BUCKET", "")
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        # Pages name the shop's own address; the shop reads the bucket, which nobody else can.
        "OPTIONS": {
            "bucket_name": MEDIA_BUCKET,
            "default_acl": None,
            "custom_domain": f"{SITE_URL.partition('//')[2]}/media",
        },
    }
    if MEDIA_BUCKET
    else {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_MAX_AGE = 60
#: Product pictures, under names made of their contents; served at MEDIA_URL.
MEDIA_ROOT = VAR / "media"
MEDIA_URL = "/media/"

SESSION_COOKIE_AGE = 8 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "todoku.storefront.errors.forgery"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
LANGUAGE_COOKIE_NAME = "todoku_language"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-session"
    CSRF_COOKIE_NAME = "__Host-csrf"
    SECURE_SSL_REDIRECT = _switch("TODOKU_SSL_REDIRECT", True)
    # The machine that asks whether we are well speaks plain HTTP.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    if BEHIND_PROXY:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
#: Forms are small; the webhook has its own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
# The console's shipping table is the largest: 12 regions, 6 sizes, 3 temperatures.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 250
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

DEMO_NAME_JA = "北の便り商店"
SHOP_NAME_JA = os.environ.get("TODOKU_SHOP_NAME_JA", DEMO_NAME_JA)
SHOP_NAME_EN = os.environ.get("TODOKU_SHOP_NAME_EN", "Kita no Tayori")
#: Under which number each carrier knows the shop, and Yamato's number of the agreed tariff; for the slips' files.
CARRIER_CODES = {
    "yamato": os.environ.get("TODOKU_YAMATO_CODE", ""),
    "sagawa": os.environ.get("TODOKU_SAGAWA_CODE", ""),
}
YAMATO_TARIFF = os.environ.get("TODOKU_YAMATO_TARIFF", "01")
# What follows here and is asked for in the console too is the default: the console's word goes before it.
#: How long a process relies on what it knows of the console's choices (seconds).
SHOP_KEPT_FOR = 3.0
#: The most that one person may refund alone, in all for one order (yen); above it a second one must agree.
REFUND_ALONE_UP_TO = _number("TODOKU_REFUND_ALONE_UP_TO", 30_000, most=99_999_999)
#: From so many on hand downwards a product is running out.
LOW_STOCK = 3

# Payments -----------------------------------------------------------------------------------------------------
#: Where the rehearsal Stripe listens; only used while no Stripe account's keys are set.
REHEARSAL_URL = os.environ.get("TODOKU_REHEARSAL_URL", "http://127.0.0.1:8010").rstrip("/")
STRIPE = keys.read(os.environ, production=PRODUCTION, rehearsal_url=REHEARSAL_URL)
#: The dotted path of a function (timeout in seconds -> stripe.HTTPClient); tests put the in-process door here.
STRIPE_HTTP_CLIENT = "todoku.gateways.stripe.requests_client"
#: Calls to Stripe in a second, of all processes together: for the whole account and for each endpoint; 0 is no limit.
#: Stripe's own limits are 100 (25 in a sandbox) and 25 (docs.stripe.com/rate-limits).
STRIPE_PER_SECOND = _number("TODOKU_STRIPE_PER_SECOND", 80 if STRIPE.livemode or STRIPE.rehearsal else 20, most=10_000)
STRIPE_PER_ENDPOINT = _number("TODOKU_STRIPE_PER_ENDPOINT", 20, most=10_000)
#: Whether new checkouts are refused at once while Stripe does not answer.
STRIPE_BREAKER = True
#: How long a shopper has for an attempt before it is canceled (minutes).
PAY_WITHIN_MINUTES = int(os.environ.get("TODOKU_PAY_WITHIN_MINUTES", "30"))
#: Whether shoppers may also pay at a konbini (the account must be allowed to; docs.stripe.com/payments/konbini).
KONBINI = _switch("TODOKU_KONBINI", True)
#: A konbini voucher's last day: so many days after the order, until 23:59:59 JST (1 to 60).
KONBINI_DAYS = int(os.environ.get("TODOKU_KONBINI_DAYS", "3"))
if not 1 <= KONBINI_DAYS <= 60:
    raise ImproperlyConfigured(f"TODOKU_KONBINI_DAYS must be from 1 to 60, not {KONBINI_DAYS}.")
#: How many times a shopper may press the order button for one order (card testing, docs.stripe.com).
MOST_ATTEMPTS = 5

# Content security policy: the shop's own files, and Stripe's only where a card is typed (storefront/csp.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "font-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}

# Mail ---------------------------------------------------------------------------------------------------------
EMAIL_BACKEND = os.environ.get("TODOKU_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST = os.environ.get("TODOKU_SMTP_HOST", "127.0.0.1")
EMAIL_PORT = int(os.environ.get("TODOKU_SMTP_PORT", "25" if PRODUCTION else "1025"))
EMAIL_HOST_USER = os.environ.get("TODOKU_SMTP_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("TODOKU_SMTP_PASSWORD", "")
EMAIL_USE_TLS = _switch("TODOKU_SMTP_TLS", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("TODOKU_MAIL_FROM", f"{SHOP_NAME_JA} <shop@example.jp>")
#: Who is rung when an order needs a person.
OPERATOR_EMAILS = [
    address for address in os.environ.get("TODOKU_OPERATOR_EMAILS", "operator@example.jp").split(",") if address
]


def _bell() -> list[ringing.Named]:
    try:
        return ringing.read_list(os.environ.get("TODOKU_BELL", ""))
    except ringing.BadAddress as error:
        # Not the address itself: it may hold a secret.
        raise ImproperlyConfigured(
            f"TODOKU_BELL has an address that cannot be used ({error}). Write mailto:you@example.jp, "
            "sns:arn:aws:sns:REGION:ACCOUNT:TOPIC or an address of apprise such as slack://…, with commas between."
        ) from None


#: Where the bell rings, in turn; without it, by mail to the addresses above. The console knows more channels.
BELL = _bell()

# Engine -------------------------------------------------------------------------------------------------------
_ENGINES = {
    "embedded": "todoku.engines.embedded.Embedded",
    "step-functions": "todoku.engines.step_functions.StepFunctions",
}
_engine = os.environ.get("TODOKU_ENGINE", "").strip() or "embedded"
if _engine not in _ENGINES:
    raise ImproperlyConfigured(f"TODOKU_ENGINE must be embedded or step-functions, not {_engine!r}.")
#: The engine's class: a dotted path (engines/engine.py is the port).
ENGINE = _ENGINES[_engine]
#: On AWS: each flow's state machine, by the flow's name.
STATE_MACHINES = machines.read(os.environ.get("TODOKU_STATE_MACHINES", ""), needed=_engine == "step-functions")
#: Plays under way at once in one worker; each waits for Stripe most of its time.
WORKER_CONCURRENCY = int(os.environ.get("TODOKU_WORKER_CONCURRENCY", "160"))
#: A worker that has not given a sign of life for so long is taken for dead (seconds).
WORKER_DEAD_AFTER = float(os.environ.get("TODOKU_WORKER_DEAD_AFTER", "20"))
#: How often a worker looks at the orders that wait for somebody who may never come (seconds).
LOOK_EVERY = float(os.environ.get("TODOKU_LOOK_EVERY", "10"))
#: When an operator resumes many orders after an outage: so many in a second, and so many under way at once.
RESUME_PER_SECOND = _number("TODOKU_RESUME_PER_SECOND", 5, most=100) or 1
RESUME_AT_ONCE = _number("TODOKU_RESUME_AT_ONCE", 20, most=1000) or 1
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

# What the shop tells of itself (docs/observability.md) ----------------------------------------------------------
LOG_FORMAT = os.environ.get("TODOKU_LOG_FORMAT", "") or ("json" if PRODUCTION else "line")
if LOG_FORMAT not in logs.FORMATS:
    raise ImproperlyConfigured(f"TODOKU_LOG_FORMAT must be json or line, not {LOG_FORMAT!r}.")
LOGGING = logs.config(how=LOG_FORMAT, level=os.environ.get("TODOKU_LOG_LEVEL", "INFO"))
#: With this token /metrics is read from other machines too.
METRICS_TOKEN = os.environ.get("TODOKU_METRICS_TOKEN", "")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("TODOKU_METRICS_TOKEN must have at least 16 characters.")
#: Where faults are told; nowhere without it.
SENTRY_DSN = os.environ.get("TODOKU_SENTRY_DSN", "") or os.environ.get("SENTRY_DSN", "")
