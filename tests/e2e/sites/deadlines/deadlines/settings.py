"""A site without middleware whose every request has a deadline (see asgi.py)."""

import os

SECRET_KEY = "a test site has no secrets"  # noqa: S105
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "deadlines.urls"
INSTALLED_APPS = ["asgiscope"]
MIDDLEWARE: list[str] = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}}
USE_TZ = True
