"""The ASGI application of the views that take long, with nothing but Django."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
os.environ.setdefault("SITE_URLCONF", "trouble")
application = get_asgi_application()
