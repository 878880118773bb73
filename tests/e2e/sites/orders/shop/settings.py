"""Settings: a database in memory; asgiscope is not installed as an app, its tests need none of that."""

import os

SECRET_KEY = "a test site has no secrets"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "shop", *filter(None, [os.environ.get("SITE_APP")])]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
