"""Commands of the server: `serve`, `keys …` and `ingest`, for any typer application."""

from serving.commands.ingest import ingest
from serving.commands.keys import keys
from serving.commands.serve import serve

__all__ = ["ingest", "keys", "serve"]
