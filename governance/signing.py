"""Signatures of model directories in OpenSSF model-signing's format: an in-toto statement in a Sigstore bundle.

By default with an elliptic-curve key that the user keeps; ALMANAC_SIGNING_KEY names its PEM file. With
ALMANAC_SIGNING=keyless the signer's identity comes from Sigstore instead, as in a workflow with an OpenID token.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from governance.dsse import verify_signature

SIGNATURE = "model.sig"
PUBLIC_KEY = "model.pub"
#: Where pods have the key, from the secret `almanac-signing`.
MOUNTED_KEY = Path("/etc/almanac/signing/private_key")


@dataclass(frozen=True)
class Identity:
    """Whom a keyless signature must come from.

    Attributes:
        subject: e-mail address or workflow URL in the certificate.
        issuer: the OpenID provider's URL.
    """

    subject: str
    issuer: str


def signing_key(environment: str = "local") -> Path:
    """Return the private key's file, made on first use for runs on this machine.

    Args:
        environment: `local`, or `cluster`, where a key must be given.

    Raises:
        RegistryError: on a cluster without a key, or the named file is missing.
    """
    named = os.environ.get("ALMANAC_SIGNING_KEY")
    if named:
        # The value is not told: it may be the key itself.
        if "\n" in named or not Path(named).is_file():
            raise RegistryError("ALMANAC_SIGNING_KEY does not name a file; right would be the path of a PEM key")
        return Path(named)
    if environment != "local":
        if MOUNTED_KEY.is_file():
            return MOUNTED_KEY
        raise RegistryError(
            "there is no key to sign with: ALMANAC_SIGNING_KEY is not set, and the secret almanac-signing has no key "
            f"private_key, which pods have as {MOUNTED_KEY}"
        )
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = base / "almanac" / "signing.pem"
    if not path.exists():
        generate_key(path)
    return path


def generate_key(path: Path) -> None:
    """Write a new P-256 private key to `path`, readable by its owner alone; an existing file is never replaced."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink(missing_ok=True)


def public_key(private: Path) -> bytes:
    """Return the PEM public key of a private key file.

    Raises:
        RegistryError: the file holds no unencrypted elliptic-curve key.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(private.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise RegistryError(f"{private}: not an unencrypted PEM private key ({error})") from error
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public: bytes) -> str:
    """Return the sha256 of a PEM public key: how people compare keys."""
    return sha256_bytes(public)


def sign(directory: Path, target: Path, private: Path) -> None:
    """Sign every file below `directory`; write SIGNATURE and PUBLIC_KEY into `target`.

    Raises:
        RegistryError: the key cannot sign.
    """
    from model_signing import signing

    target.mkdir(parents=True, exist_ok=True)
    public = public_key(private)
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private)  # type: ignore[no-untyped-call]
        config.sign(directory, target / SIGNATURE)
    except ValueError as error:
        raise RegistryError(f"{private}: cannot sign {directory}: {error}") from error
    (target / PUBLIC_KEY).write_bytes(public)


def keyless() -> bool:
    """Return whether ALMANAC_SIGNING asks for the surroundings' identity in place of a key."""
    return os.environ.get("ALMANAC_SIGNING", "key") == "keyless"


def sign_keyless(directory: Path, target: Path) -> None:
    """Sign with the identity of the surroundings (a workflow's OpenID token), through the public Sigstore instance.

    Raises:
        RegistryError: there is no such identity, or Sigstore cannot be reached.
    """
    from model_signing import signing

    target.mkdir(parents=True, exist_ok=True)
    config = signing.Config()  # type: ignore[no-untyped-call]
    try:
        config.use_sigstore_signer(use_ambient_credentials=True).sign(directory, target / SIGNATURE)
    except Exception as error:  # Sigstore's clients raise errors of many libraries
        raise RegistryError(f"ALMANAC_SIGNING=keyless: cannot sign {directory}: {error}") from error


def verify(directory: Path, signature: Path, trust: Path | Identity) -> None:
    """Check that `directory` is, file for file, what was signed, and by whom.

    Args:
        directory: the model directory.
        signature: the signature's file.
        trust: the signer's public key, or the identity of a keyless signature.

    Raises:
        RegistryError: another key, an altered, missing or additional file, or an unreadable signature.
    """
    if isinstance(trust, Path):
        verify_signature(directory, signature, trust)
        return
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        config.use_sigstore_verifier(identity=trust.subject, oidc_issuer=trust.issuer)
        config.verify(directory, signature)
    except Exception as error:  # the library raises Sigstore's, protobuf's and its own errors
        reason = str(error) or type(error).__name__
        raise RegistryError(f"{signature}: the signature of {directory} does not verify: {reason}") from error
