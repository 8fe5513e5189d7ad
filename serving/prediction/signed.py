"""Check the signature of a model before it is loaded.

Registry versions and runs have their signature in governance/ next to model/; a model directory that the registry
published for KServe has it in signature/. Without a trusted key the signer's own public key, stored with the signature,
is used: that detects changed bytes, but not a forger, who would replace the key as well.
"""

import logging
from pathlib import Path

from almanac.core.errors import AlmanacError, ModelError
from almanac.model.directory import MANIFEST
from governance.dsse import verify_signature

#: Folder of a published model directory with the signatures, which is not signed itself.
INSIDE = "signature"
_LOG = logging.getLogger("almanac.serving")


def check_signature(model: Path, trusted: Path | None) -> str | None:
    """Check who signed a model directory.

    Args:
        model: the directory: one target's, or a run's model/ with all targets.
        trusted: PEM file of the public key that must have signed it; None to accept the signature's own key.

    Returns:
        sha256 of the manifest that was signed; None for a model without a signature.

    Raises:
        ModelError: a signature that does not verify, or none although a key is trusted.
    """
    signatures = _signatures(model)
    if not signatures:
        if trusted is not None:
            raise ModelError(f"{model}: no signature was found, and only models signed with {trusted} are served")
        _LOG.info("%s is not signed", model)
        return None
    errors = []
    # One valid signature is enough: others may be of keys that this server does not have.
    for signature in signatures:
        try:
            return _signed_manifest(model, signature, trusted or signature.with_suffix(".pub"))
        except AlmanacError as error:
            errors.append(str(error))
    raise ModelError(errors[0])


def _signatures(model: Path) -> list[Path]:
    inside = sorted((model / INSIDE).glob("*.sig"))
    of_run = model.parent / "governance" / "model.sig"
    return inside + ([of_run] if of_run.is_file() and model.name == "model" else [])


def _signed_manifest(model: Path, signature: Path, public: Path) -> str:
    if not public.is_file():
        raise ModelError(f"{public}: no such file; {signature} cannot be checked without the signer's public key")
    signed = verify_signature(model, signature, public, ignored=INSIDE)
    if MANIFEST not in signed:
        raise ModelError(f"{signature}: signs no {MANIFEST}; give a model directory")
    return signed[MANIFEST]
