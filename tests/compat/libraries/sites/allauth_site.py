"""django-allauth: its sign-in and sign-up pages."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=("allauth", "allauth.account"),
    middleware=(*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"),
    AUTHENTICATION_BACKENDS=[
        "django.contrib.auth.backends.ModelBackend",
        "allauth.account.auth_backends.AuthenticationBackend",
    ],
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("accounts/", include("allauth.urls")), path("", include("shop.views"))]
application = served(get_asgi_application())
