"""The content type and coding of a request's body."""

from http import HTTPStatus

from serving.runtime.errors import HTTPError
from serving.runtime.http import Request

_CONTENT_TYPES = (b"application/json", b"application/octet-stream", b"application/x-ndjson")


def check_type(request: Request) -> None:
    """Refuse a body in a form that no route reads; parameters such as `; charset=utf-8` are ignored."""
    encoding = request.headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        message = f"content-encoding {encoding.decode('latin-1')} is not read; send the body as it is"
        raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    content_type = request.headers.get(b"content-type", b"application/json")
    if content_type in _CONTENT_TYPES or content_type.partition(b";")[0].strip().lower() in _CONTENT_TYPES:
        return
    text = content_type.decode("latin-1")
    message = f"content-type {text} is not read; send application/json or application/octet-stream"
    raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
