"""The ASGI application."""

import faulthandler
import os
import signal

from django.core.asgi import get_asgi_application

faulthandler.register(signal.SIGUSR1)  # a test that waits in vain asks for every thread's stack
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_asgi_application()
