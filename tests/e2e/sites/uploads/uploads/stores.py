"""Sends files to the object store, which wants an access token that the database keeps.

The token is looked up by a synchronous helper, in three ways that people have tried from an async method.
"""

from collections.abc import Mapping
from typing import Any

import httpx
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

from .models import StoredToken

Files = Mapping[str, bytes]
http = httpx.AsyncClient(base_url=settings.STORE_URL, trust_env=False)


async def put(files: Files, token: str) -> int:
    """Send the files; how many there were."""
    for name, content in files.items():
        answer = await http.put(name, content=content, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
    return len(files)


class DirectStore:
    """Calls the helper as it is."""

    async def send(self, files: Files) -> int:
        """Send files."""
        return await put(files, self.access_token())

    def access_token(self) -> str:
        """Look the token up."""
        return StoredToken.objects.get(service="store").value


class WrappedStore(DirectStore):
    """Calls the helper in a thread."""

    async def send(self, files: Files) -> int:
        """Send files."""
        token = await sync_to_async(self.access_token)()
        return await put(files, token)


class MistakenStore(DirectStore):
    """Has the right idea and takes the wrong function."""

    async def send(self, files: Files) -> int:
        """Send files."""
        return await put(files, self.decorated_token())

    @async_to_sync  # the mistake: what it decorates is not async
    def decorated_token(self) -> Any:
        """Look the token up."""
        return self.access_token()


STORES = {"direct": DirectStore(), "wrapped": WrappedStore(), "mistaken": MistakenStore()}
