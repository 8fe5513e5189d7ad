"""Entry point of the monitoring component."""

from datetime import datetime
from pathlib import Path
from typing import Any

from almanac.core.files import pretty_json, read_json, write_json
from almanac.core.progress import summary
from almanac.reports import write_page
from almanac.usecase import load_text
from governance.registry.stores import open_store
from monitoring.windows.monitor import Sources, monitor, push_monitoring
from monitoring.windows.report import monitoring_page
from orchestration.console import Step
from orchestration.published_runs import PublishedRuns
from orchestration.rundir import new_run_id, run_record, timestamp


def run(usecase: str, sources: Sources, push: str, out: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Judge the last windows, write monitoring.json and monitoring.html, push, and return decision and metadata."""
    monitoring = monitor(load_text(usecase, "usecase"), sources)
    document, joined = monitoring.document, monitoring.monitored.joined
    write_json(out, document)
    write_page(monitoring_page(document, joined, monitoring.monitored.usecase, monitoring.windows), report)
    if push:
        push_monitoring(monitoring, sources.registry, push)
    summary(_decision(document), joined.height)
    keys = ("use_case", "use_case_digest", "version", "digest", "breached", "data_digest")
    return document["breached"], {key: document[key] for key in keys}


def publish(sources: Sources, started: datetime, out: Path, report: Path) -> None:
    """Publish the run in the registry's store: result, report, record and table.

    Raises:
        RegistryError: the store cannot be written.
    """
    document, store = read_json(out), open_store(sources.registry)
    step = Step("monitoring", (timestamp() - started).total_seconds(), figure=_decision(document))
    use_case, digest = document["use_case"], document["use_case_digest"]
    run_id = new_run_id(started, digest)
    record = run_record(run_id, use_case, digest, started, "kubeflow", store.url, [step])
    files = {"monitoring.json": out.read_bytes(), "report.html": report.read_bytes()}
    files["run.json"] = pretty_json(record).encode()
    PublishedRuns(store).publish(f"{use_case}/monitoring/{run_id}", files, sources.table.read_bytes())


def _decision(document: dict[str, Any]) -> str:
    """Return the decision in a line."""
    breaching = sum(window["breach"] for window in document["windows"])
    decision = "breached" if document["breached"] else "quiet"
    return f"{decision}, {breaching} of {len(document['windows'])} windows breach"
