"""A project whose API is django-bolt's, with nothing of Django's in between."""

import os

SECRET_KEY = "a test site has no secrets"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "boltsite.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_bolt",
]
if not os.environ.get("SITE_BARE"):
    INSTALLED_APPS += ["asgiscope"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DB"]}}
