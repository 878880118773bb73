"""Settings of the demo shop: one SQLite file below `SHOP_DATA`, loopback only.

| variable | meaning |
|---|---|
| SHOP_DATA | folder of the database and the secret key; default `.demo/shop` at the top of the repository |
| SHOP_SUPPLIER_URL | the supplier's HTTP server |
| SHOP_BACKGROUND | 1 to keep prices fresh in the background of this process |
| SHOP_FIX | planted problems to fix, see `problems.py` |
"""

import os
import secrets
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

import problems

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SHOP_DATA") or BASE_DIR.parents[1] / ".demo" / "shop")
DATA_DIR.mkdir(parents=True, exist_ok=True)

SUPPLIER_URL = os.environ.get("SHOP_SUPPLIER_URL", "http://127.0.0.1:8899")
BACKGROUND = os.environ.get("SHOP_BACKGROUND") == "1"

try:
    problems.parse_fixes(os.environ.get(problems.ENVIRONMENT_VARIABLE, ""))
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from None


def _secret_key() -> str:
    """Return the key of this data folder, made once: both services of the shop must agree on it."""
    path = DATA_DIR / "secret-key"
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return path.read_text()
    path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "shopsite.urls"
ASGI_APPLICATION = "shopsite.asgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "shop",
    "asgiscope",
]

GEOIP_MIDDLEWARE = (
    "vendor_geoip.middleware.AsyncGeoIPMiddleware"
    if problems.fixed("sync_middleware")
    else "vendor_geoip.middleware.GeoIPMiddleware"
)

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    GEOIP_MIDDLEWARE,
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "shop.middleware.LoyaltyMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            # Two services share the file: readers must not wait for the writer.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
        },
    },
}

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
# The traffic comes from one address: allauth's limits per address would stop it.
ACCOUNT_RATE_LIMITS = False
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "httpx": {"level": "WARNING"},  # at INFO it writes a line for every request it sends
    },
}
