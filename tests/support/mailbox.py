"""A mail server and a receiver of webhooks, real ones on loopback, that keep what reaches them."""

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.background import in_background

USER, PASSWORD = "almanac", "opensesame-7781"


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate of localhost."""

    path: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context


def make_certificate(folder: Path, name: str = "localhost") -> Certificate:
    """Write a certificate of a host."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(made.key), "-out", str(made.path)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@dataclass
class Mailbox:
    """A mail server.

    Attributes:
        port: its port.
        mails: mails that it accepted, with the recipient in X-Recipient.
        answers: answers to give to the next mails in place of 250.
        refused: recipients that it does not know.
        logins: users that logged in.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    logins: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept a recipient."""
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        mail["X-Recipient"] = envelope.rcpt_tos[0]
        self.mails.append(mail)
        return "250 accepted"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Check a login."""
        assert isinstance(data, LoginPassword)
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins += [data.login.decode()] if good else []
        return AuthResult(success=good, handled=good)


@contextmanager
def mail_server(tls: ssl.SSLContext | None, *, implicit: bool = False) -> Iterator[Mailbox]:
    """Serve a mailbox; without a context it offers no TLS."""
    box, loop = Mailbox(), asyncio.new_event_loop()

    def session() -> SMTP:
        starttls = None if implicit else tls
        return SMTP(
            box,
            loop=loop,
            authenticator=box.authenticate,
            tls_context=starttls,
            require_starttls=starttls is not None,
            # It counts TLS that began with the connection as none, and warns of asking for a login over it.
            auth_required=starttls is not None,
            auth_require_tls=not implicit,
        )

    async def begin() -> asyncio.Server:
        return await loop.create_server(session, "127.0.0.1", 0, ssl=tls if implicit else None)

    server = loop.run_until_complete(begin())
    box.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield box
    finally:

        async def end() -> None:
            server.close()
            await server.wait_closed()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Sink:
    """A receiver of webhooks.

    Attributes:
        port: its port.
        requests: path, headers and body of each request that arrived whole.
        answers: status and headers to give to the next requests in place of 200.
        before_answer: called between the receipt of a request and its answer.
    """

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies, parsed."""
        return [json.loads(body) for _, _, body in self.requests]


@contextmanager
def webhook_sink(tls: ssl.SSLContext | None = None) -> Iterator[Sink]:
    """Serve a receiver of webhooks."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(length := int(self.headers["content-length"]))
            # A sender that dies leaves a part, on which no receiver acts.
            if len(body) < length:
                return
            sink.requests.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
            sink.before_answer()
            status, headers = sink.answers.pop(0) if sink.answers else (200, {})
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            said = b"ok" if status == 200 else b"no_service"
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that go away or refuse the certificate."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    sink.port = server.server_address[1]
    with in_background(server):
        yield sink
