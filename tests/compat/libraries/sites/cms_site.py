"""django CMS: its home page, with a menu and a placeholder."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=("django.contrib.sites", "django.contrib.admin", "cms", "menus", "treebeard", "sekizai"),
    middleware=(
        *MIDDLEWARE,
        "django.middleware.locale.LocaleMiddleware",
        "cms.middleware.user.CurrentUserMiddleware",
        "cms.middleware.page.CurrentPageMiddleware",
        "cms.middleware.toolbar.ToolbarMiddleware",
        "cms.middleware.language.LanguageCookieMiddleware",
    ),
    context=("sekizai.context_processors.sekizai", "cms.context_processors.cms_settings"),
    SITE_ID=1,
    LANGUAGES=[("en", "English")],
    CMS_CONFIRM_VERSION4=True,
    CMS_TEMPLATES=[("shop/cms.html", "Page")],
    X_FRAME_OPTIONS="SAMEORIGIN",
)

from django.contrib import admin  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402


def prepare():
    """Make a home page and one below it."""
    from cms.api import create_page  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.db import transaction  # noqa: PLC0415

    user = User.objects.create_superuser("editor", "editor@example.com", "secret")
    options = {"template": "shop/cms.html", "language": "en", "in_navigation": True, "created_by": user}
    home = create_page("Home", **options)
    with transaction.atomic():
        home.set_as_homepage()
    create_page("Shop", **options)


urlpatterns = [path("admin/", admin.site.urls), path("", include("cms.urls"))]
application = served(get_asgi_application())
