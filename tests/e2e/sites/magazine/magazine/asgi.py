"""The ASGI application."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

from . import counting

application: Any = get_asgi_application()
if os.environ.get("SITE_COUNT"):
    application = counting.Counted(application)
