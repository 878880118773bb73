"""What the sites of this folder share: settings, tables with something in them, and counts of what a request costs.

Each site is one module that calls `configure` first, and has `urlpatterns` and `application`.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import django
from django.conf import settings
from magazine import counting

AUTHORS = 4
BOOKS = 20
MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)
CONTEXT = (
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
)


def configure(
    name: str,
    *,
    apps: Sequence[str] = (),
    middleware: Sequence[str] = MIDDLEWARE,
    context: Sequence[str] = (),
    **options: Any,
) -> None:
    """Set the site up; `SITE_WITHOUT_ASGISCOPE` leaves asgiscope out and changes nothing else."""
    counting.install()
    ours = () if os.environ.get("SITE_WITHOUT_ASGISCOPE") else ("asgiscope",)
    template = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [*CONTEXT, *context]},
    }
    given: dict[str, Any] = {
        "SECRET_KEY": "of a test",
        "ALLOWED_HOSTS": ["*"],
        "ROOT_URLCONF": name,
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ["SITE_DATABASE"],
                "OPTIONS": {"timeout": 20, "init_command": "PRAGMA synchronous=OFF"},  # Wagtail's migrations
            }
        },
        "INSTALLED_APPS": [
            *("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"),
            *("django.contrib.messages", "django.contrib.staticfiles", "shop"),
            *apps,
            *ours,
        ],
        "MIDDLEWARE": list(middleware),
        "TEMPLATES": [template],
        "STATIC_URL": "/static/",
        "STATIC_ROOT": os.path.join(os.path.dirname(os.environ["SITE_DATABASE"]), "static"),  # noqa: PTH118, PTH120
        "MIGRATION_MODULES": {"shop": None},
        "USE_TZ": True,
        "LANGUAGE_CODE": "en",
    }
    settings.configure(**{**given, **options})
    django.setup()


def served(application: Any) -> Any:
    """Return an application that also answers `/counts/`."""
    return counting.Counted(application)


def prepare(name: str) -> None:
    """Make the tables and fill them; a site's own `prepare` follows."""
    site = importlib.import_module(name)
    from django.core.management import call_command  # noqa: PLC0415 - the site has set Django up by now
    from shop.models import Author, Book  # noqa: PLC0415

    call_command("migrate", verbosity=0, run_syncdb=True)
    authors = [Author.objects.create(name=f"Author {number}") for number in range(AUTHORS)]
    Book.objects.bulk_create(
        Book(title=f"Book {number}", author=authors[number % AUTHORS]) for number in range(BOOKS)
    )
    own = getattr(site, "prepare", None)
    if own is not None:
        own()


if __name__ == "__main__":
    prepare(sys.argv[1])
