"""Entry point of the validation component."""

from pathlib import Path
from typing import Any

from almanac.core.progress import summary
from almanac.data.validate import validate
from almanac.usecase import digest, load_text
from almanac.usecase.views import reads


def run(usecase: str, table: Path, validated: Path, report: Path) -> dict[str, Any]:
    """Validate, print the warnings, and return the metadata of the valid table."""
    case = reads(load_text(usecase, "usecase"), "validation")
    record = validate(case, table, validated, report)
    for finding in record["findings"]:
        print(f"warning: {finding['column'] or 'table'}: {finding['rule']}: {finding['text']}", flush=True)
    count = len(record["findings"])
    summary(f"{count or 'no'} warning{'s' * (count != 1)}", record["rows"])
    return {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "data_digest": record["table"]["sha256"],
        "rows": record["rows"],
        "warnings": count,
    }
