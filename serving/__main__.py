"""The server's command line, for its image: `python -m serving [keys | ingest | canary] …` serves without a command.

python -m serving --model registry:air/production --http-port 8080
python -m serving keys create --name dashboard --scopes predict,explain
python -m serving ingest observations.parquet --url http://127.0.0.1:8080 --model-name air
"""

import sys

from almanac.core.commands import exit_code_of
from serving.commands import app


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    if not arguments or arguments[0] not in ("serve", "ingest", "keys", "canary"):
        arguments = ["serve", *arguments]
    return exit_code_of(lambda: app(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
