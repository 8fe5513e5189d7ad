"""Files of versions and runs as answers: shown, but never run."""

from starlette.responses import Response

#: Reports carry their own style and drawings, and no script; the sandbox holds them to it.
_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
_TYPES = {".html": "text/html", ".md": "text/plain", ".json": "application/json", ".yaml": "text/plain"}


def document(name: str, data: bytes) -> Response:
    """Return a file as an answer that can neither run a script nor reach the console's session."""
    kind = _TYPES.get(name[name.rfind(".") :], "application/octet-stream")
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return Response(data, media_type=f"{kind}; charset=utf-8", headers=headers)
