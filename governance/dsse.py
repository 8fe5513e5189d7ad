"""Verification of OpenSSF model signatures made with a key, by the format's own rules and `cryptography` alone.

The model-signing library imports every signing method, Sigstore's clients among them, which takes longer than all the
rest of a verification or a server's start. The format is small: a DSSE envelope (v1.0.0) around an in-toto statement
with predicate `https://model_signing/signature/v1.0`, which lists each file's sha256. Tests hold this against the
library, in both directions.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes, sha256_file

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: How much of a key's sha256 names its signatures in a published copy.
SIGNER_DIGITS = 16
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def verify_signature(directory: Path, signature: Path, public: Path, ignored: str | None = None) -> None:
    """Check that `directory` is, file for file, what the holder of the key signed.

    Args:
        directory: the model directory.
        signature: a Sigstore bundle with a DSSE envelope.
        public: the signer's P-256, P-384 or P-521 public key, PEM.
        ignored: folder at the top of the directory that is not part of the model.

    Raises:
        RegistryError: another key, an altered, missing or additional file, or an unreadable signature.
    """
    try:
        bundle = json.loads(signature.read_bytes())
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        made = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        kind = envelope["payloadType"]
    except (OSError, ValueError, KeyError, IndexError, TypeError, binascii.Error) as error:
        raise RegistryError(f"{signature}: not a signature bundle ({type(error).__name__}: {error})") from error
    if kind != _PAYLOAD_TYPE:
        raise RegistryError(f"{signature}: signs {kind!r}; right would be {_PAYLOAD_TYPE}")
    _check_key(public, made, _pae(kind, payload), signature)
    _check_files(directory, _signed_files(json.loads(payload), signature), signature, ignored)


def signer(public: Path) -> str:
    """Return the name that a key's signatures have in a published copy: the first digits of its PEM file's sha256.

    Raises:
        RegistryError: not an elliptic-curve public key in PEM.
    """
    from cryptography.hazmat.primitives import serialization

    # Written again, as line ends or a comment beside the key would make another name.
    pem = _public_key(public).public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256_bytes(pem)[:SIGNER_DIGITS]


def _public_key(public: Path) -> Any:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(public.read_bytes())
    except (OSError, ValueError) as error:
        raise RegistryError(f"{public}: not a PEM public key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RegistryError(f"{public}: not an elliptic-curve key")
    return key


def _pae(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are signed."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def _check_key(public: Path, made: bytes, data: bytes, signature: Path) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _public_key(public)
    digests: dict[int, Any] = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}
    if key.curve.key_size not in digests:
        raise RegistryError(f"{public}: a curve of {key.curve.key_size} bits; right would be P-256, P-384 or P-521")
    try:
        key.verify(made, data, ec.ECDSA(digests[key.curve.key_size]()))
    except InvalidSignature as error:
        raise RegistryError(f"{signature}: not signed with the key {public}") from error


def _signed_files(statement: dict[str, Any], signature: Path) -> dict[str, str]:
    """Return path -> sha256 of what was signed, after checking that the statement agrees with itself."""
    if statement.get("predicateType") != _PREDICATE_TYPE:
        raise RegistryError(f"{signature}: predicate {statement.get('predicateType')!r}; right: {_PREDICATE_TYPE}")
    predicate = statement["predicate"]
    serialization = predicate["serialization"]
    if (serialization["method"], serialization["hash_type"]) != ("files", "sha256"):
        raise RegistryError(f"{signature}: signs {serialization}; right would be whole files by sha256")
    digests = [resource["digest"] for resource in predicate["resources"]]
    if (
        sha256_bytes(b"".join(bytes.fromhex(digest) for digest in digests))
        != statement["subject"][0]["digest"]["sha256"]
    ):
        raise RegistryError(f"{signature}: the digest of all files is not that of the files it lists")
    return {resource["name"]: resource["digest"] for resource in predicate["resources"]}


def _check_files(directory: Path, signed: dict[str, str], signature: Path, ignored: str | None) -> None:
    paths = {path.relative_to(directory): path for path in directory.rglob("*") if not path.is_dir()}
    found = {name.as_posix(): path for name, path in paths.items() if name.parts[0] != ignored}
    for name, digest in sorted(signed.items()):
        if name not in found:
            raise RegistryError(f"{directory / name}: missing; {signature} signs it")
        if found[name].is_symlink() or sha256_file(found[name]) != digest:
            raise RegistryError(f"{directory / name}: not the file that {signature} signs")
    for name in sorted(found.keys() - signed.keys()):
        raise RegistryError(f"{directory / name}: additional; {signature} does not sign it")
