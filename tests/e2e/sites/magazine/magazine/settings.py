"""A project whose middleware are all able to run async, served by ASGI and WSGI servers alike.

`SITE_WITHOUT_ASGISCOPE` leaves asgiscope out, `SITE_MIDDLEWARE` adds middleware at the end, `SITE_COUNT` counts,
`SITE_APM` starts another vendor's tracing.
"""

import os

if os.environ.get("SITE_COUNT"):
    from . import counting

    counting.install()

if os.environ.get("SITE_APM"):
    from . import apm

    apm.start(os.environ["SITE_APM"])

SECRET_KEY = "a test site has no secrets"  # noqa: S105
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "magazine.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "magazine",
]
if not os.environ.get("SITE_WITHOUT_ASGISCOPE"):
    INSTALLED_APPS += ["asgiscope"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *filter(None, [os.environ.get("SITE_MIDDLEWARE")]),
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["SITE_DATABASE"],
        "OPTIONS": {"timeout": 20},
    }
}
