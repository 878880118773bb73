"""Back ends of the test site that take their time, as a network does; and one that takes less than Django's."""

import time
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.storage import FileSystemStorage

SECONDS = 0.1


class SlowCache(LocMemCache):
    """A cache some way off."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Answer late."""
        time.sleep(SECONDS)
        return super().get(key, default, version)


class SlowStorage(FileSystemStorage):
    """Files some way off."""

    def exists(self, name: str) -> bool:
        """Answer late."""
        time.sleep(2 * SECONDS)
        return super().exists(name)


class Hasher(PBKDF2PasswordHasher):
    """Slow enough to be seen on a fast machine, and not much slower."""

    iterations = 150_000
