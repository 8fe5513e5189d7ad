"""A Cloud Storage on loopback: the part of its JSON API that gcsfs uses, and the tokens that it asks for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.background import in_background

_TOKEN = "a-token-of-the-service-account"


class _Handler(BaseHTTPRequestHandler):
    objects: dict[str, bytes]
    bucket: str
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if address.path == "/token":
            self.answer(200, {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        elif self.admitted():
            self.upload(parse_qs(address.query), body)

    def upload(self, query: dict[str, list[str]], body: bytes) -> None:
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip("\"'").encode()
        _, described, content, _ = body.split(b"--" + boundary)
        name = json.loads(described.split(b"\n\n", 1)[1])["name"]
        if query.get("ifGenerationMatch") == ["0"] and name in self.objects:
            self.answer(412, {"error": {"code": 412, "message": "At least one precondition did not hold."}})
            return
        self.objects[name] = content.split(b"\n\n", 1)[1].removesuffix(b"\n")
        self.answer(200, self.described(name))

    def do_GET(self) -> None:
        if not self.admitted():
            return
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        before, of_object, name = address.path.partition("/o/")
        name = unquote(name)
        if not before.startswith((f"/storage/v1/b/{self.bucket}", f"/download/storage/v1/b/{self.bucket}")):
            self.answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        elif not of_object:
            self.listed(query.get("prefix", ""), query.get("delimiter", ""))
        elif name not in self.objects:
            self.answer(404, {"error": {"code": 404, "message": "No such object"}})
        elif query.get("alt") == "media":
            self.answer(200, self.objects[name])
        else:
            self.answer(200, self.described(name))

    def listed(self, prefix: str, delimiter: str) -> None:
        names = sorted(name for name in self.objects if name.startswith(prefix))
        deeper = [name for name in names if delimiter and delimiter in name[len(prefix) :]]
        folders = {prefix + name[len(prefix) :].split(delimiter)[0] + delimiter for name in deeper}
        items = [self.described(name) for name in names if name not in deeper]
        self.answer(200, {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)})

    def do_DELETE(self) -> None:
        if self.admitted():
            self.objects.pop(unquote(urlsplit(self.path).path.partition("/o/")[2]), None)
            self.answer(204, b"")

    def described(self, name: str) -> dict[str, Any]:
        return {"bucket": self.bucket, "name": name, "size": str(len(self.objects[name])), "generation": "1"}

    def admitted(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {_TOKEN}":
            return True
        self.rfile.read(0)
        self.answer(401, {"error": {"code": 401, "message": "Anonymous caller does not have access."}})
        return False

    def answer(self, status: int, content: bytes | dict[str, Any]) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serving_cloud_storage(bucket: str) -> Iterator[str]:
    """Serve a Cloud Storage with one bucket on loopback; yield its address."""

    class Handler(_Handler):
        objects: dict[str, bytes] = {}

    Handler.bucket = bucket
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with in_background(server) as url:
        yield url


def service_account(url: str) -> str:
    """Return the JSON of a service account whose tokens the storage at an address gives out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    fields = {"type": "service_account", "project_id": "almanac", "private_key": key.decode()}
    fields |= {"client_email": "retrain@almanac.example", "token_uri": f"{url}/token"}
    return json.dumps(fields)
