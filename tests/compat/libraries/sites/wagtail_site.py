"""Wagtail: a page of its tree, and the admin's login."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=(
        *("wagtail_home", "wagtail.contrib.redirects", "wagtail.embeds", "wagtail.sites", "wagtail.users"),
        *(
            "wagtail.snippets",
            "wagtail.documents",
            "wagtail.images",
            "wagtail.search",
            "wagtail.admin",
            "wagtail",
        ),
        *("modelcluster", "taggit", "django_filters", "django.contrib.admin"),
    ),
    middleware=(*MIDDLEWARE, "wagtail.contrib.redirects.middleware.RedirectMiddleware"),
    MIGRATION_MODULES={"shop": None},
    WAGTAIL_SITE_NAME="Test",
    WAGTAILADMIN_BASE_URL="http://127.0.0.1",
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from wagtail import urls as wagtail_urls  # noqa: E402
from wagtail.admin import urls as admin_urls  # noqa: E402


def prepare():
    """Give the site a home page with three children."""
    from django.core.management import call_command  # noqa: PLC0415
    from wagtail.models import Page, Site  # noqa: PLC0415
    from wagtail_home.models import HomePage  # noqa: PLC0415

    call_command("fixtree", interactive=False, verbosity=0)
    root = Page.objects.get(depth=1)
    home = root.add_child(instance=HomePage(title="Home", slug="start"))
    for number in range(3):
        home.add_child(instance=HomePage(title=f"Child {number}", slug=f"child-{number}"))
    Page.objects.filter(depth=2).exclude(pk=home.pk).delete()
    Site.objects.all().delete()
    Site.objects.create(hostname="127.0.0.1", root_page=home, is_default_site=True)


urlpatterns = [path("admin/", include(admin_urls)), path("", include(wagtail_urls))]
application = served(get_asgi_application())
