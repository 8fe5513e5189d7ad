"""Addresses by which people reach somebody: e-mail, web or telephone."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

#: What a use case file says, or stands for, where only its author knows.
UNSTATED = "not stated"
_EMAIL = re.compile(r"[^@\s<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_TELEPHONE = re.compile(r"tel:\+?[0-9][0-9 ()-]{4,}")
#: Names that RFC 2606 reserves for examples: nobody is reached there.
_RESERVED = re.compile(r"(^|\.)(example(\.(com|net|org))?|invalid|test)$")


def check_address(value: str) -> str:
    """Check the form of an address.

    Raises:
        ValueError: neither an e-mail address, a web address nor a telephone number.
    """
    if value == UNSTATED:
        return value
    web = urlsplit(value)
    is_web = web.scheme in ("https", "http") and bool(web.hostname) and "." in str(web.hostname) and " " not in value
    if is_web or _EMAIL.fullmatch(value.removeprefix("mailto:")) or _TELEPHONE.fullmatch(value):
        return value
    raise ValueError(
        f"{value!r} is no address; expected an e-mail address (team@company.com), a web address (https://…) or a "
        "telephone number (tel:+44…)"
    )


def is_placeholder(value: str) -> bool:
    """Return whether an address is one of those that are reserved for examples, such as nobody@example.org."""
    if value == UNSTATED:
        return True
    host = urlsplit(value).hostname if "//" in value else value.rpartition("@")[2]
    return bool(_RESERVED.search(str(host)))


#: An address, as the use case file gives it.
Address = Annotated[str, AfterValidator(check_address)]
