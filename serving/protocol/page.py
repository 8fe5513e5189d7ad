"""The OpenAPI document as one self-contained page."""

from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "code{font:14px ui-monospace,monospace;background:#f3f3f3;padding:.1em .3em}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem;border-bottom:1px solid #ddd}"
)


def page(document: dict[str, Any]) -> bytes:
    """Return the page for an OpenAPI document."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['summary'])}</td></tr>"
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    title = escape(document["info"]["title"])
    models = _models(document)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>Models: {models}. The whole document: <a href=/openapi.json>openapi.json</a>.</p>"
        f"<table><tr><th>Method<th>Path<th>What it does</tr>{''.join(rows)}</table></html>"
    ).encode()


def _models(document: dict[str, Any]) -> str:
    names = document["paths"]["/v1/models/{model}:predict"]["post"]["parameters"][0]["schema"]["enum"]
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)
