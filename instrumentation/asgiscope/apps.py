"""The app of `INSTALLED_APPS += ["asgiscope"]`."""

from django.apps import AppConfig

import asgiscope


class AsgiscopeConfig(AppConfig):
    """Installs the probes after Django has loaded its apps."""

    name = "asgiscope"
    verbose_name = "asgiscope"

    def ready(self) -> None:
        """Install asgiscope; listing the app asks for it."""
        asgiscope.instrument()
