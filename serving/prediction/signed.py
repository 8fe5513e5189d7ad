"""The signature of a model, checked before it is loaded.

A version from the registry and a run have it in governance/ beside model/; a model directory that the registry
published for KServe has it below signature/. Without a trusted key the signer's own, which lies beside the signature,
is used: that finds bytes that changed after signing, but not a forger, who brings a key as well.
"""

import logging
from pathlib import Path

from almanac.core.errors import AlmanacError, ModelError
from governance.dsse import verify_signature

INSIDE = "signature"
"""Folder of a published model directory that holds signatures, and that is not signed itself."""
_LOG = logging.getLogger("almanac.serving")


def check_signature(model: Path, trusted: Path | None) -> None:
    """Check who signed a model directory.

    Args:
        model: the directory: one target's, or a run's model/ with all targets.
        trusted: PEM file of the public key that must have signed it; None to take what is signed at its word.

    Raises:
        ModelError: a signature that does not verify, or none although a key is trusted.
    """
    found = _signatures(model)
    if not found:
        if trusted is not None:
            raise ModelError(f"{model}: no signature was found, and only models signed with {trusted} are served")
        _LOG.info("%s is not signed", model)
        return
    refusals = [refusal for signature in found if (refusal := _refusal(model, signature, trusted))]
    if len(refusals) == len(found):
        raise ModelError(refusals[0])


def _signatures(model: Path) -> list[Path]:
    inside = sorted((model / INSIDE).glob("*.sig"))
    beside = model.parent / "governance" / "model.sig"
    return inside + ([beside] if beside.is_file() and model.name == "model" else [])


def _refusal(model: Path, signature: Path, trusted: Path | None) -> str | None:
    public = trusted or signature.with_suffix(".pub")
    if not public.is_file():
        return f"{public}: no such file; {signature} cannot be checked without the signer's public key"
    try:
        verify_signature(model, signature, public, ignored=INSIDE)
    except AlmanacError as error:
        return str(error)
    return None
