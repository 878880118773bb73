"""`INSTALLED_APPS += ["asgiscope"]`."""

from django.apps import AppConfig

import asgiscope


class AsgiscopeConfig(AppConfig):
    """Installs the probes when Django has loaded its apps."""

    name = "asgiscope"
    verbose_name = "asgiscope"

    def ready(self) -> None:
        """Install; a site that lists the app wants it."""
        asgiscope.instrument()
