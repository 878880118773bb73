"""The site the instrumentation's tests run: every way of going wrong has a URL."""

import os
import tempfile

import django

SECRET_KEY = "a test site has no secrets"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = os.environ.get("SITE_URLCONF", "urls")
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
if not os.environ.get("SITE_BARE"):
    INSTALLED_APPS += ["asgiscope"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *filter(None, os.environ.get("SITE_MIDDLEWARE", "").split(",")),
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SITE_DB", ":memory:"),
        "OPTIONS": {"timeout": 20},
    }
}
MEDIA_ROOT = os.environ.get("SITE_MEDIA", tempfile.gettempdir())
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"users.html": "{% for u in users %}{{ u }}{% endfor %}", "slow.html": "{{ wait }}"},
                )
            ]
        },
    }
]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "slow": {"BACKEND": "backends.SlowCache"},
    "files": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": f"{MEDIA_ROOT}/cache",
    },
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "slow": {"BACKEND": "backends.SlowStorage"},
    "staticfiles": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
}
SESSION_ENGINE = os.environ.get("SITE_SESSIONS", "django.contrib.sessions.backends.db")
SESSION_SAVE_EVERY_REQUEST = bool(os.environ.get("SITE_SAVE_SESSIONS"))
_MAIL = f"django.core.mail.backends.{'smtp' if 'SITE_SMTP' in os.environ else 'locmem'}.EmailBackend"
_SMTP = {"host": "127.0.0.1", "port": int(os.environ["SITE_SMTP"])} if "SITE_SMTP" in os.environ else {}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": _MAIL, "OPTIONS": _SMTP}}
else:
    EMAIL_BACKEND = _MAIL
    EMAIL_HOST, EMAIL_PORT = _SMTP.get("host"), _SMTP.get("port")
PASSWORD_HASHERS = ["backends.Hasher"]
