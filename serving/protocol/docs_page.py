"""The page of the documentation: every operation, and the names of the models."""

import base64
from hashlib import sha256
from html import escape

from serving.protocol.routes import DESCRIPTIONS

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #ccc}"
)
#: The source of the style for a Content-Security-Policy that allows no other.
STYLE_SOURCE = f"'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


def page(models: list[str]) -> bytes:
    """Return the page as HTML, for a server with these models."""
    rows = "".join(
        f"<tr><td>{one.method}</td><td><code>{escape(one.pattern)}</code></td><td>{escape(one.summary)}</td>"
        f"<td>{escape(one.scope or 'none')}</td></tr>"
        for one in DESCRIPTIONS
    )
    names = ", ".join(f"<code>{escape(name)}</code>" for name in models)
    # The empty icon keeps browsers from asking for one.
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Almanac</title><link rel=icon href='data:,'>"
        f"<style>{_STYLE}</style></head><body><h1>Almanac</h1><p>Models: {names}</p>"
        "<p>The schemas of requests and answers are in <a href=/openapi.json>openapi.json</a>.</p>"
        f"<table><tr><th>Method</th><th>Path</th><th>Operation</th><th>Scope</th></tr>{rows}</table></body></html>"
    ).encode()
