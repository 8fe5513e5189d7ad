"""Signatures of model directories in OpenSSF model-signing's format: an in-toto statement in a Sigstore bundle.

The default signer is an elliptic-curve key of the user, whose PEM file ALMANAC_SIGNING_KEY names. With
ALMANAC_SIGNING=keyless the signer is a Sigstore identity, such as that of a workflow with an OpenID token.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes

SIGNATURE = "model.sig"
PUBLIC_KEY = "model.pub"
#: Location of the key in pods, which mount the secret `almanac-signing`.
MOUNTED_KEY = Path("/etc/almanac/signing/private_key")


@dataclass(frozen=True)
class Identity:
    """Expected signer of a keyless signature.

    Attributes:
        subject: e-mail address or workflow URL in the certificate.
        issuer: the OpenID provider's URL.
    """

    subject: str
    issuer: str


def signing_key(environment: str = "local") -> Path:
    """Return the private key's file; local runs generate it on first use.

    Args:
        environment: `local`, or `cluster`, where a key must be provided.

    Raises:
        RegistryError: a cluster without a key, or the configured file is missing.
    """
    configured = os.environ.get("ALMANAC_SIGNING_KEY")
    if configured:
        # The message leaves the value out, as it may be the key itself.
        if "\n" in configured or not Path(configured).is_file():
            raise RegistryError("ALMANAC_SIGNING_KEY does not name a file; expected the path of a PEM key")
        return Path(configured)
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
    """Write a new P-256 private key to `path`, readable only by its owner, unless the file exists."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # Created with its mode: a later chmod would leave a moment in which others can read the key.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        try:
            # Unlike a rename, a link never replaces the key that another first run has just made.
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)


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
    """Return the sha256 of a PEM public key, by which people compare keys."""
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
    """Return whether ALMANAC_SIGNING asks for a signature by the environment's identity."""
    return os.environ.get("ALMANAC_SIGNING", "key") == "keyless"


def sign_keyless(directory: Path, target: Path) -> None:
    """Sign with the environment's identity, such as a workflow's OpenID token, through the public Sigstore instance.

    Raises:
        RegistryError: the environment has no identity, or Sigstore cannot be reached.
    """
    from model_signing import signing

    target.mkdir(parents=True, exist_ok=True)
    config = signing.Config()  # type: ignore[no-untyped-call]
    try:
        config.use_sigstore_signer(use_ambient_credentials=True).sign(directory, target / SIGNATURE)
    except Exception as error:  # Sigstore's clients raise errors of many libraries
        raise RegistryError(f"ALMANAC_SIGNING=keyless: cannot sign {directory}: {error}") from error


def verify(directory: Path, signature: Path, trust: Path | Identity) -> None:
    """Check that `directory` holds exactly the signed files, and who signed them.

    Args:
        directory: the model directory.
        signature: the signature's file.
        trust: the signer's public key, or the identity of a keyless signature.

    Raises:
        RegistryError: another signer, an altered, missing or additional file, or an unreadable signature.
    """
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        if isinstance(trust, Path):
            config.use_elliptic_key_verifier(public_key=trust)
        else:
            config.use_sigstore_verifier(identity=trust.subject, oidc_issuer=trust.issuer)
        config.verify(directory, signature)
    except Exception as error:  # the library raises Sigstore's, protobuf's and its own errors
        signer = trust if isinstance(trust, Path) else trust.subject
        # The library names each file, with both digests as Python writes bytes.
        reason = re.sub(r": Expected 'Digest.*?\)', Actual 'Digest.*?\)'", "", str(error).replace("\\'", "'"))
        reason = reason or type(error).__name__
        raise RegistryError(f"{signature}: no valid signature of {directory} by {signer}: {reason}") from error
