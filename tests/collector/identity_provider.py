"""An OpenID Connect provider that signs in one person without asking: real tokens, real signatures."""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "asgiscope"
SECRET = "the client's secret"  # noqa: S105 - of a provider that lives as long as a test


class Provider:
    """The provider; a context manager. `claims` are what it says of the person."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims
        self._key = RSAKey.generate_key(2048, {"kid": "1", "alg": "RS256", "use": "sig"})
        self._asked: dict[str, dict[str, str]] = {}
        """Code -> what the client asked with."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/authorize":
                    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                    code = f"code-{len(provider._asked)}"
                    provider._asked[code] = query
                    back = urlencode({"code": code, "state": query["state"]})
                    self.send_response(302)
                    self.send_header("Location", f"{query['redirect_uri']}?{back}")
                    self.end_headers()
                elif parts.path == "/keys":
                    self._json({"keys": [provider._key.as_dict(private=False)]})
                else:
                    self._json(provider.configuration())

            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                asked = provider._asked.pop(body["code"][0], None)
                verifier = hashlib.sha256(body["code_verifier"][0].encode()).digest()
                challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
                client = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
                if (
                    asked is None
                    or asked["code_challenge"] != challenge
                    or self.headers["Authorization"] != f"Basic {client}"
                ):
                    self._json({"error": "invalid_grant"}, 400)
                    return
                now = int(time.time())
                claims = {"iss": provider.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60}
                claims |= {"nonce": asked["nonce"], **provider.claims}
                token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, provider._key)
                self._json({"access_token": "a", "token_type": "Bearer", "id_token": token})

            def _json(self, content: Any, status: int = 200) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def configuration(self) -> dict[str, Any]:
        """Return what it says of itself (OpenID Connect Discovery 1.0)."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
