"""`python -m serving`: serve, and what goes with it.

python -m serving --model registry:air/production --http-port 8080
python -m serving keys create --name dashboard --scopes predict,explain
python -m serving ingest observations.parquet --url http://127.0.0.1:8080 --model-name air
python -m serving batch in.parquet out.parquet --model registry:air/production
"""

import argparse
import sys
from collections.abc import Callable

from almanac.core.errors import AlmanacError, ServingError
from serving.settings import add_arguments, from_arguments


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    commands = {"keys": _keys, "ingest": _ingest, "batch": _batch}
    try:
        if arguments and arguments[0] in commands:
            return _command(arguments[0], commands[arguments[0]], arguments[1:])
        return _serve(arguments)
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _command(name: str, run: Callable[[list[str]], int], arguments: list[str]) -> int:
    try:
        return run(arguments)
    except ModuleNotFoundError as error:
        raise ServingError(
            f"{name} needs {error.name}, which the server's own libraries leave out; run it where the components are"
        ) from error


def _serve(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    settings = from_arguments(parser.parse_args(arguments))
    if settings.workers > 1 and settings.listen_fd is None:
        from serving.operations.workers import supervise

        return supervise(settings, arguments)
    try:
        from serving.run import run
    except ModuleNotFoundError as error:
        raise ServingError(
            f"{error.name} is not installed; `make .venv/.serving` installs what the server needs"
        ) from error

    run(settings)
    return 0


def _keys(arguments: list[str]) -> int:
    from serving.commands.keys import main as keys

    return keys(arguments)


def _ingest(arguments: list[str]) -> int:
    from serving.commands.ingest import main as ingest

    return ingest(arguments)


def _batch(arguments: list[str]) -> int:
    from serving.batch.table import main as batch

    return batch(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
