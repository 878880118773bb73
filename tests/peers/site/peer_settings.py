"""Settings of the site. Elastic's and Scout's agents are an application, and a middleware, of the site."""

import os

SECRET_KEY = os.urandom(20).hex()
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "peer_site"
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
INSTALLED_APPS = ["django.contrib.contenttypes"]
_DATABASES = {
    "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["PEER_DATABASE"]},
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ.get("PEER_POSTGRES_PORT"),
        "USER": "postgres",
        "NAME": os.environ["PEER_DATABASE"],
        "CONN_MAX_AGE": None,
    },
}
DATABASES = {"default": _DATABASES[os.environ["PEER_ENGINE"]]}
if os.environ["PEER_AGENT"] == "elastic":
    INSTALLED_APPS.append("elasticapm.contrib.django")
    MIDDLEWARE.insert(0, "elasticapm.contrib.django.middleware.TracingMiddleware")
if os.environ["PEER_AGENT"] == "scout":
    INSTALLED_APPS.insert(0, "scout_apm.django")
