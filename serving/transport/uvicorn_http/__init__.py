"""HTTP on uvicorn. Nothing else imports uvicorn, whose internals the protocol classes extend."""

from serving.transport.uvicorn_http.protocol import Protocol
from serving.transport.uvicorn_http.server import HTTPServer

__all__ = ["HTTPServer", "Protocol"]
