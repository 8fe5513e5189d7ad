"""Check the signature of a model before it is loaded.

Registry versions and runs have their signature in governance/ next to model/; a model directory that the registry
published for KServe has it in signature/. Without a trusted key the signer's own public key, stored with the signature,
is used: that detects changed bytes, but not a forger, who would replace the key as well.
"""

import logging
from pathlib import Path

from almanac.core.errors import AlmanacError, ModelError
from governance.dsse import verify_signature

#: Folder of a published model directory with the signatures, which is not signed itself.
INSIDE = "signature"
_LOG = logging.getLogger("almanac.serving")


def check_signature(model: Path, trusted: Path | None) -> None:
    """Check who signed a model directory.

    Args:
        model: the directory: one target's, or a run's model/ with all targets.
        trusted: PEM file of the public key that must have signed it; None to accept the signature's own key.

    Raises:
        ModelError: a signature that does not verify, or none although a key is trusted.
    """
    signatures = _signatures(model)
    if not signatures:
        if trusted is not None:
            raise ModelError(f"{model}: no signature was found, and only models signed with {trusted} are served")
        _LOG.info("%s is not signed", model)
        return
    # One valid signature is enough: others may be of keys that this server does not have.
    errors = [error for signature in signatures if (error := _error(model, signature, trusted))]
    if len(errors) == len(signatures):
        raise ModelError(errors[0])


def _signatures(model: Path) -> list[Path]:
    inside = sorted((model / INSIDE).glob("*.sig"))
    of_run = model.parent / "governance" / "model.sig"
    return inside + ([of_run] if of_run.is_file() and model.name == "model" else [])


def _error(model: Path, signature: Path, trusted: Path | None) -> str | None:
    public = trusted or signature.with_suffix(".pub")
    if not public.is_file():
        return f"{public}: no such file; {signature} cannot be checked without the signer's public key"
    try:
        verify_signature(model, signature, public, ignored=INSIDE)
    except AlmanacError as error:
        return str(error)
    return None
