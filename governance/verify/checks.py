"""The checks of a verification by name, in the order in which they are done."""

from collections.abc import Callable
from pathlib import Path

from almanac.core.errors import AlmanacError, DocumentError
from governance.documents.layout import REGISTRATION
from governance.registry import Registry
from governance.registry.checkpoint import check_checkpoint
from governance.verify.bundle import Bundle
from governance.verify.decided import check_gate
from governance.verify.evaluated import check_evaluation
from governance.verify.event_chain import RECORD, check_chain, recorded_registry
from governance.verify.integrity import (
    check_bills,
    check_coverage,
    check_hashes,
    check_kinds,
    check_page,
    check_references,
    check_registration,
    check_run_record,
    check_tables,
)
from governance.verify.rendered import check_rendered
from governance.verify.signatures import check_documents_signature, check_model_signature, check_run_signature

#: Returns the number of checked items and a note; raises an error for the first difference.
Check = Callable[[Bundle], tuple[int, str]]


def _check_chain(bundle: Bundle) -> tuple[int, str]:
    """Check the event chain of the given registry, or else of the one that the run recorded, if it can be read."""
    registration, note = bundle.artifacts.document(REGISTRATION), ""
    url = bundle.registry
    if url is None:
        url, reason = recorded_registry(bundle.run, registration["use_case"])
        if url is None:
            # Asked to hold a checkpoint against a registry, a verification without one has not done what it was asked.
            if bundle.checkpoint is not None:
                raise DocumentError(f"{bundle.checkpoint}: cannot be compared, as {reason}: give --registry")
            return 0, f"{reason}: give --registry"
        note = f"in {url}, by {RECORD}"
    count = check_chain(url, registration, bundle.folder)
    if bundle.checkpoint is None:
        return count, f"{note}; a rewritten end would not show: give --checkpoint".removeprefix("; ")
    public = bundle.trust if isinstance(bundle.trust, Path) else None
    _, signer = check_checkpoint(Registry(url), bundle.checkpoint, public)
    return count, f"{note}; no shorter than the checkpoint of {signer}".removeprefix("; ")


def _check_metrics(bundle: Bundle) -> tuple[int, str]:
    from governance.verify.metrics import check_metrics

    return check_metrics(bundle.artifacts), "by independent code, from predictions.parquet"


def _by_its_release(check: Check) -> Check:
    """Return a check whose difference is a note where another release wrote the files.

    Other code computes other figures of the same rows, and has others to compute: nobody altered them. Their bytes are
    held by the signatures, and the release that wrote them can do the check.
    """

    def checked(bundle: Bundle) -> tuple[int, str]:
        try:
            return check(bundle)
        except (AlmanacError, KeyError, TypeError, ValueError) as error:
            if bundle.same_release:
                raise
            reason = error if isinstance(error, AlmanacError) else repr(error)
            return 0, f"written by another release, this one does otherwise ({reason})"

    return checked


#: Name -> what is checked, in the words of the verdict, and the check. The cheap ones, which name the file, come first.
CHECKS: dict[str, tuple[str, Check]] = {
    "hashes": ("every file has the sha256 that the documents' manifest lists", check_hashes),
    "run record": ("every file has the sha256 that run.json lists", check_run_record),
    "tables": ("data and features are those that the model was made of", check_tables),
    "model signature": ("the model is the signed one", check_model_signature),
    "documents signature": ("documents and artifacts are the signed ones", check_documents_signature),
    "run signature": ("every file of the run is the signed one", check_run_signature),
    "coverage": ("nothing lies beside what is covered", check_coverage),
    "registration": ("model, use case, version and statements fit together", check_registration),
    "references": ("every number in a document is what its artifact says", check_references),
    "page": ("the page shows the same values", check_page),
    "document kinds": ("the kinds of all documents are installed", check_kinds),
    "bills of materials": ("they follow their schema", check_bills),
    "metrics": ("the metrics follow from the predictions", _by_its_release(_check_metrics)),
    "event chain": ("the registry registered this version with these documents", _check_chain),
    "documents": ("documents, checklist, risk and plots are the same when rendered again", check_rendered),
    "gate": ("the gate decides the same again", _by_its_release(check_gate)),
    "predictions": (
        "the signed model predicts the same again, and the figures follow",
        _by_its_release(check_evaluation),
    ),
}
