"""Quick verification of model signatures that were made with a key, for the server.

OpenSSF's model-signing library, which `governance.signing` uses, takes 0.3 s and 50 MB to import with Sigstore's
clients, half as much again as the server's whole start. Its format is small: a DSSE envelope (v1.0.0) around an in-toto
statement that lists each file's sha256. Tests hold this module against the library in both directions.
"""

import base64
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import parse_json, sha256_bytes, sha256_file
from governance.envelope import canonical_pem, fingerprint, is_valid, load_public

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
#: Digits of a key's sha256 that name its signatures in a published copy.
SIGNER_DIGITS = 16


def verify_signature(directory: Path, signature: Path, public: Path, ignored: str | None = None) -> dict[str, str]:
    """Check that `directory` holds exactly the files that the holder of the key signed.

    Args:
        directory: the model directory.
        signature: a Sigstore bundle with a DSSE envelope.
        public: the signer's P-256, P-384 or P-521 public key, PEM.
        ignored: folder at the top of the directory that is not part of the model.

    Returns:
        path -> sha256 of the signed files.

    Raises:
        RegistryError: another key, an altered, missing or additional file, or an unreadable signature.
    """
    try:
        data = signature.read_bytes()
    except OSError as error:
        raise RegistryError(f"{signature}: not a signature bundle ({type(error).__name__}: {error})") from error
    signed = signed_files(data, _pem(public), str(signature), str(public))
    _check_files(directory, signed, signature, ignored)
    return signed


def signed_files(bundle: bytes, public: bytes, name: str, key_name: str) -> dict[str, str]:
    """Return path -> sha256 of the model files that the holder of the key signed.

    Args:
        bundle: a Sigstore bundle with a DSSE envelope.
        public: the signer's public key, PEM.
        name: of the bundle, for errors.
        key_name: of the key, for errors.

    Raises:
        RegistryError: another key, or an unreadable signature.
    """
    try:
        envelope = parse_json(bundle)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        mark, kind = str(envelope["signatures"][0]["sig"]), envelope["payloadType"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise RegistryError(f"{name}: not a signature bundle ({type(error).__name__}: {error})") from error
    # The type is signed too; another sort of record by the same key must not pass for a model.
    if kind != _PAYLOAD_TYPE:
        raise RegistryError(f"{name}: signs {kind!r}; expected {_PAYLOAD_TYPE}")
    if not is_valid(kind, payload, mark, load_public(public, key_name), key_name):
        raise RegistryError(f"{name}: not signed with the key {key_name}")
    return _signed_files(parse_json(payload), name)


def signer(public: Path) -> str:
    """Return the name of a key's signatures in a published copy: the first digits of its PEM file's sha256.

    Raises:
        RegistryError: not an elliptic-curve public key in PEM.
    """
    return fingerprint(canonical_pem(_pem(public), str(public)))[:SIGNER_DIGITS]


def _pem(public: Path) -> bytes:
    try:
        return public.read_bytes()
    except OSError as error:
        raise RegistryError(f"{public}: not a PEM public key ({error})") from error


def _signed_files(statement: dict[str, Any], signature: str) -> dict[str, str]:
    """Return path -> sha256 of the signed files, after checking that the statement agrees with itself."""
    if statement.get("predicateType") != _PREDICATE_TYPE:
        raise RegistryError(f"{signature}: predicate {statement.get('predicateType')!r}; expected {_PREDICATE_TYPE}")
    serialization, resources = statement["predicate"]["serialization"], statement["predicate"]["resources"]
    if (serialization["method"], serialization["hash_type"]) != ("files", "sha256"):
        raise RegistryError(f"{signature}: signs {serialization}; expected whole files by sha256")
    # model-signing's digest of a directory: that of its files' digests, one after the other.
    digests = b"".join(bytes.fromhex(resource["digest"]) for resource in resources)
    if sha256_bytes(digests) != statement["subject"][0]["digest"]["sha256"]:
        raise RegistryError(f"{signature}: the digest of all files is not that of the files it lists")
    return {resource["name"]: resource["digest"] for resource in resources}


def _check_files(directory: Path, signed: dict[str, str], signature: Path, ignored: str | None) -> None:
    paths = {path.relative_to(directory): path for path in directory.rglob("*") if not path.is_dir()}
    present = {name.as_posix(): path for name, path in paths.items() if name.parts[0] != ignored}
    for name, digest in sorted(signed.items()):
        if name not in present:
            raise RegistryError(f"{directory / name}: missing; {signature} signs it")
        if present[name].is_symlink() or sha256_file(present[name]) != digest:
            raise RegistryError(f"{directory / name}: not the file that {signature} signs")
    for name in sorted(present.keys() - signed.keys()):
        raise RegistryError(f"{directory / name}: additional; {signature} does not sign it")
