"""Signatures of small records, such as events and checkpoints: ECDSA over DSSE's pre-authentication encoding.

DSSE (v1.0.0) signs the payload's type with the payload, so that a signature of one sort of record is none of another.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes


def encode(kind: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: the bytes that are signed."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def sign(kind: str, payload: bytes, private: Path) -> str:
    """Return the base64 signature of a payload of a type, made with an elliptic-curve PEM key.

    Raises:
        RegistryError: the file holds no unencrypted elliptic-curve private key.
    """
    # Imported where it is used: reading a registry whose events are not signed does not need it.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(private.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise RegistryError(f"{private}: not an unencrypted PEM private key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RegistryError(f"{private}: not an elliptic-curve key")
    return base64.b64encode(key.sign(encode(kind, payload), ec.ECDSA(_hash(key.curve, str(private))))).decode()


def is_valid(kind: str, payload: bytes, signature: str, public: Any, name: str) -> bool:
    """Return whether a base64 signature of a payload was made by the holder of a key.

    Args:
        kind: the payload's type.
        payload: the signed bytes.
        signature: base64.
        public: the key, from `load_public`.
        name: of the key, for errors.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    algorithm = ec.ECDSA(_hash(public.curve, name))
    try:
        public.verify(base64.b64decode(signature, validate=True), encode(kind, payload), algorithm)
    # What is no base64 is no signature either; the caller names the record.
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def load_public(pem: bytes, name: str) -> Any:
    """Return the elliptic-curve public key in a PEM text.

    Raises:
        RegistryError: another kind of key, or none.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise RegistryError(f"{name}: not a PEM public key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RegistryError(f"{name}: not an elliptic-curve key")
    # Asked now, so that a curve without a hash is refused where the key is read.
    _hash(key.curve, name)
    return key


def canonical_pem(pem: bytes, name: str) -> str:
    """Return a public key's PEM text as it is written anew: line ends or a comment do not make another key."""
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(load_public(pem, name).public_bytes(serialization.Encoding.PEM, form).decode())


def fingerprint(pem: str) -> str:
    """Return the sha256 of a public key's PEM text, by which people compare keys."""
    return sha256_bytes(pem.encode())


def _hash(curve: Any, name: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    algorithms: dict[int, Any] = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}
    if curve.key_size not in algorithms:
        raise RegistryError(f"{name}: a curve of {curve.key_size} bits; expected P-256, P-384 or P-521")
    return algorithms[curve.key_size]()
