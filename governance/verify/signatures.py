"""Checks of signatures: of the model, of the documents, and of the run's directory."""

from pathlib import Path

from almanac.core.errors import DocumentError
from almanac.core.files import sha256_file
from governance import signing
from governance.documents.layout import FOLDER
from governance.verify.bundle import Bundle

# The tasks of a cluster end apart, so that none of them could sign the whole.
_UNSIGNED_RUN = (
    "nothing signed covers the run's other files, as in a run that was fetched from a cluster; "
    "its model and documents have signatures of their own"
)


def check_model_signature(bundle: Bundle) -> tuple[int, str]:
    """Check that the model directory is the one that was signed."""
    signature = bundle.folder / signing.SIGNATURE
    if not signature.exists():
        raise DocumentError(f"{FOLDER}/{signing.SIGNATURE}: missing; the model is not signed")
    trust = _trust(bundle)
    if trust is None:
        return 0, "a keyless signature: give --identity and --issuer"
    signing.verify(bundle.model, signature, trust)
    return 1, _signer(bundle, trust)


def check_documents_signature(bundle: Bundle) -> tuple[int, str]:
    """Check that the documents, and by their manifest all artifacts, are the ones that were signed."""
    return _check_contents(bundle, bundle.folder, signing.DOCUMENTS_SIGNATURE, "the documents are not signed")


def check_run_signature(bundle: Bundle) -> tuple[int, str]:
    """Check that every file of the run's directory, run.json included, is the one that was signed."""
    if bundle.run is None:
        return 0, "these documents are not verified as part of a run's directory"
    return _check_contents(bundle, bundle.run, signing.RUN_SIGNATURE, _UNSIGNED_RUN)


def _check_contents(bundle: Bundle, directory: Path, name: str, missing: str) -> tuple[int, str]:
    trust = _trust(bundle)
    if not (directory / name).exists():
        # Whoever asks for a signer must not be content with documents from which the signature was removed. What a run
        # without a signature has beside them is for `check_coverage` to refuse: a version of a registry has nothing.
        if bundle.trust is not None and directory == bundle.folder:
            raise DocumentError(f"{FOLDER}/{name}: missing; {missing}")
        return 0, f"no {name}: {missing}"
    if trust is None:
        return 0, "a keyless signature: give --identity and --issuer"
    signing.verify(directory, directory / name, trust, contents=True)
    return sum(1 for path in directory.rglob("*") if path.is_file()) - 1, _signer(bundle, trust)


def _trust(bundle: Bundle) -> Path | signing.Identity | None:
    """Return whoever must have signed: as the caller says, else the holder of the bundle's own key, None without."""
    own = bundle.folder / signing.PUBLIC_KEY
    return bundle.trust or (own if own.exists() else None)


def _signer(bundle: Bundle, trust: Path | signing.Identity) -> str:
    if isinstance(trust, signing.Identity):
        return f"by {trust.subject}"
    note = "" if bundle.trust else "; the bundle's own, which proves nothing by itself: pin one with --public-key"
    return f"by key {sha256_file(trust)[:12]}…{note}"
