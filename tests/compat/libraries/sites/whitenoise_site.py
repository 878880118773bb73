"""WhiteNoise: a static file, and pages behind its middleware."""

from base import MIDDLEWARE, configure, served

configure(__name__, middleware=("whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE))

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402


def prepare():
    """Collect the file."""
    call_command("collectstatic", interactive=False, verbosity=0)


urlpatterns = [path("", include("shop.views"))]
application = served(get_asgi_application())
