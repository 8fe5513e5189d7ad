"""The offline Comet archive of a record, written by a separate process.

Importing comet_ml patches installed libraries and logs to the terminal; in a separate process neither affects the
training, which goes on meanwhile.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from almanac.core.files import read_json, write_json

RECORD = "record.json"
_SECONDS = 120


def archive_in_background(record: dict[str, Any], directory: Path) -> "subprocess.Popen[str]":
    """Write `record.json` to the directory, and start a process that writes the archive."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RECORD, record)
    return subprocess.Popen(
        [sys.executable, "-m", "almanac.training.tracking", "comet", str(directory.absolute())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The module is found from here, wherever the training was started.
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "COMET_LOGGING_CONSOLE": "error", "COMET_START_ONLINE": "0"},
    )


def finish(process: "subprocess.Popen[str]") -> str | None:
    """Wait for the archive and return an error message, or None. A training never fails because of its tracking."""
    try:
        output, _ = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"the Comet archive was not written within {_SECONDS} s"
    lines = output.strip().splitlines()
    return (
        None if process.returncode == 0 else f"the Comet archive was not written: {lines[-1] if lines else 'no word'}"
    )


def write_archive(directory: Path) -> Path:
    """Write the offline archive of the record in `directory`, without touching the network; return its path."""
    record = read_json(directory / RECORD)
    import comet_ml

    # An upload takes one archive of the directory, and it must be that of this record.
    for old in directory.glob("*.zip"):
        old.unlink()
    experiment = comet_ml.OfflineExperiment(
        project_name=record["project"],
        experiment_key=record["key"],
        offline_directory=str(directory),
        # The record is all that is logged; by itself Comet would add code, arguments and facts about the machine.
        log_code=False,
        log_graph=False,
        auto_param_logging=False,
        auto_metric_logging=False,
        auto_output_logging=None,
        parse_args=False,
        log_env_details=False,
        log_git_metadata=False,
        log_git_patch=False,
        display_summary_level=0,
    )
    experiment.set_name(record["name"])
    experiment.add_tags(record["tags"])
    experiment.log_parameters(record["parameters"])
    for name, value in record["metrics"].items():
        experiment.log_metric(name, value)
    experiment.log_other("use_case_digest", record["use_case_digest"])
    experiment.log_asset(str(directory / RECORD), file_name=RECORD)
    experiment.end()
    return next(directory.glob("*.zip"))
