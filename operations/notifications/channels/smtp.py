"""Mail by SMTP with STARTTLS or implicit TLS, after RFC 5321, 3207 and 8314.

It is never sent without TLS, and the server's certificate is checked.
"""

import re
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from mimetypes import guess_type

from operations.notifications.channels.parcel import NotSentError, Parcel, RefusedMessageError, UncertainError
from operations.notifications.channels.tls import checked_context
from operations.notifications.settings import Mail
from operations.reports import fill
from operations.secrets import without

_OK, _GO_ON = 250, 354


def send(section: Mail, parcel: Parcel, claim: Callable[[], None]) -> None:
    """Send a mail.

    Args:
        section: the channel.
        parcel: the message.
        claim: called before the dot that ends the mail.

    Raises:
        NotSentError: no connection, no TLS, a login that is refused, or an answer that asks for another attempt.
        RefusedMessageError: the server refuses sender, recipient or mail.
        UncertainError: the connection broke after the mail was sent.
    """
    password = section.password.read() if section.password else ""
    data = re.sub(rb"(?m)^\.", b"..", mail(section, parcel).as_bytes())
    try:
        server = _connected(section)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"{section.host}:{section.port}: {_words(error, password)}") from None
    try:
        _hand_over(server, section, parcel.recipient, password, data)
        claim()
        _finish(server, section, password)
    finally:
        # Whatever the server says to the farewell, the mail has been accepted or not.
        server.close()


def mail(section: Mail, parcel: Parcel) -> EmailMessage:
    """Return the mail: text and HTML with the same content, reports attached."""
    message, values = parcel.message, {"message": parcel.message}
    found = EmailMessage(policy=SMTP)
    found["From"], found["To"] = section.sender, parcel.recipient
    found["Subject"] = " ".join(fill(parcel.templates, "subject.txt.j2", **values).split())
    found["Date"] = datetime.now(UTC)
    # The same at every attempt, so that mail servers and programs can tell a mail that they have.
    found["Message-ID"] = f"<{parcel.key[:40]}@{section.sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(fill(parcel.templates, "mail.txt.j2", **values))
    found.add_alternative(fill(parcel.templates, "mail.html.j2", **values), subtype="html")
    for name, data in message.documents.items():
        major, minor = (guess_type(name)[0] or "application/octet-stream").split("/")
        charset = {"charset": "utf-8"} if major == "text" else None
        found.add_attachment(data, maintype=major, subtype=minor, filename=name, params=charset)
    return found


def _connected(section: Mail) -> smtplib.SMTP:
    context, timeout = checked_context(section.ca_file), section.timeout_seconds
    if section.tls == "implicit":
        return smtplib.SMTP_SSL(section.host, section.port, timeout=timeout, context=context)
    server = smtplib.SMTP(section.host, section.port, timeout=timeout)
    try:
        # A server without STARTTLS is an error, and never a mail in clear text.
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _hand_over(server: smtplib.SMTP, section: Mail, recipient: str, password: str, data: bytes) -> None:
    """Send all of a mail but the dot that ends it."""
    place = f"{section.host}:{section.port}"
    try:
        server.ehlo_or_helo_if_needed()
        if section.user:
            server.login(section.user, password)
        _check(server.mail(section.sender), f"{place}: sender {section.sender}", password)
        _check(server.rcpt(recipient), f"{place}: recipient {recipient}", password)
        _check(server.docmd("DATA"), f"{place}: mail", password, _GO_ON)
        server.send(data if data.endswith(b"\r\n") else data + b"\r\n")
    except smtplib.SMTPAuthenticationError as error:
        raise NotSentError(f"{place}: the login of {section.user} is refused (code {error.smtp_code})") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"{place}: {_words(error, password)}") from None


def _finish(server: smtplib.SMTP, section: Mail, password: str) -> None:
    place = f"{section.host}:{section.port}"
    try:
        server.send(b".\r\n")
        answer = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise UncertainError(
            f"{place}: the connection broke before the server's answer ({type(error).__name__})"
        ) from None
    _check(answer, f"{place}: mail", password)


def _check(answer: tuple[int, bytes], what: str, password: str, expected: int = _OK) -> None:
    code, text = answer
    # 251: the server forwards for the recipient.
    if code == expected or (expected == _OK and code == 251):
        return
    said = without(text.decode("utf-8", "replace"), password)[:120]
    reason = f"{what}: the server answered {code} {said}"
    # Codes from 500 on are for good, RFC 5321 4.2.1; a closing connection gives -1.
    raise RefusedMessageError(reason) if code >= 500 else NotSentError(reason)


def _words(error: Exception, password: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server offers no STARTTLS or no login"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code}"
    return without(getattr(error, "strerror", None) or str(error) or type(error).__name__, password)
