"""Commands of the server: `serve`, `keys …` and `ingest`."""

import typer

from almanac.core.commands import example
from serving.commands.canary import canary
from serving.commands.ingest import ingest
from serving.commands.keys import keys
from serving.commands.serve import serve

__all__ = ["app"]


app = typer.Typer(name="python -m serving", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command(
    "serve",
    epilog=example("almanac serve --model registry:demand/production --http-port 8080"),
    # KServe's runtimes write --http_port and --model_dir.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)(serve)
app.command(
    "ingest", epilog=example("almanac ingest observations.parquet --url http://127.0.0.1:8080 --model-name demand")
)(ingest)
app.add_typer(
    canary, name="canary", epilog=example("almanac canary status --url http://127.0.0.1:8080 --model-name demand")
)
app.add_typer(keys, name="keys", epilog=example("almanac keys create --name dashboard --scopes predict,explain"))
