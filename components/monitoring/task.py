"""Entry point of the monitoring component."""

from pathlib import Path
from typing import Any

from almanac.core.files import write_json
from almanac.core.progress import summary
from almanac.reports import write_page
from almanac.usecase import load_text
from monitoring.windows.monitor import Sources, monitor, push_monitoring
from monitoring.windows.report import monitoring_page


def run(usecase: str, sources: Sources, push: str, out: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Judge the last windows, write monitoring.json and monitoring.html, push, and return decision and metadata."""
    monitoring = monitor(load_text(usecase, "usecase"), sources)
    document, joined = monitoring.document, monitoring.monitored.joined
    write_json(out, document)
    write_page(monitoring_page(document, joined, monitoring.monitored.usecase, monitoring.windows), report)
    if push:
        push_monitoring(monitoring, sources.registry, push)
    breaching = sum(window["breach"] for window in document["windows"])
    decision = "breached" if document["breached"] else "quiet"
    summary(f"{decision}, {breaching} of {len(document['windows'])} windows breach", joined.height)
    keys = ("use_case", "use_case_digest", "version", "digest", "breached", "data_digest")
    return document["breached"], {key: document[key] for key in keys}
