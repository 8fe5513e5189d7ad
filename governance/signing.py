"""Signatures of directories in OpenSSF model-signing's format: an in-toto statement in a Sigstore bundle.

Signed are the model directory, the documents, and the run's directory.

The default signer is an elliptic-curve key of the user, whose PEM file ALMANAC_SIGNING_KEY names. With
ALMANAC_SIGNING=keyless the signer is a Sigstore identity, such as that of a workflow with an OpenID token, of the
public instance or of the one whose trust configuration ALMANAC_SIGSTORE_TRUST names.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes

SIGNATURE = "model.sig"
PUBLIC_KEY = "model.pub"
#: Signature of the governance directory that it is in, and of the run directory that it is in.
DOCUMENTS_SIGNATURE, RUN_SIGNATURE = "documents.sig", "run.sig"
#: Location of the key in pods, which mount the secret `almanac-signing`.
MOUNTED_KEY = Path("/etc/almanac/signing/private_key")

_KINDS = {"Extra": "additional", "Missing": "missing"}


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
    if (provided := _provided_key()) is not None:
        return provided
    if environment != "local":
        raise RegistryError(
            "there is no key to sign with: ALMANAC_SIGNING_KEY is not set, and the secret almanac-signing has no key "
            f"private_key, which pods have as {MOUNTED_KEY}; run `kubectl create secret generic almanac-signing "
            "--from-file=private_key=signing.pem`"
        )
    path = _own_key()
    if not path.exists():
        generate_key(path)
    return path


def present_key() -> Path | None:
    """Return the private key's file as it is, None where there is none yet.

    Raises:
        RegistryError: the configured file is missing.
    """
    own = _own_key()
    return _provided_key() or (own if own.exists() else None)


def key_of(fingerprint_: str) -> Path | None:
    """Return the private key with a fingerprint, with which the same hand signs again; None for a keyless signature.

    Raises:
        RegistryError: the key at hand has another fingerprint, or there is none.
    """
    if fingerprint_ == "keyless":
        return None
    # "cluster" looks for a key and never makes one: a new key has another fingerprint in any case.
    key = signing_key("local" if _own_key().exists() else "cluster")
    actual = fingerprint(public_key(key))
    if actual != fingerprint_:
        raise RegistryError(
            f"the key at hand, {actual[:12]}…, is not the one that signed the model, {fingerprint_[:12]}…"
        )
    return key


def _provided_key() -> Path | None:
    """Return the key that the environment or a mounted secret provides."""
    configured = os.environ.get("ALMANAC_SIGNING_KEY")
    if configured:
        # The message leaves the value out, as it may be the key itself.
        if "\n" in configured or not Path(configured).is_file():
            raise RegistryError("ALMANAC_SIGNING_KEY does not name a file; expected the path of a PEM key")
        return Path(configured)
    return MOUNTED_KEY if MOUNTED_KEY.is_file() else None


def _own_key() -> Path:
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "almanac" / "signing.pem"


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
    target.mkdir(parents=True, exist_ok=True)
    _sign(directory, target / SIGNATURE, private)
    (target / PUBLIC_KEY).write_bytes(public_key(private))


def sign_contents(directory: Path, name: str, private: Path | None) -> None:
    """Sign every file below `directory` but the signature itself, which is written into it as `name`.

    Args:
        directory: the directory.
        name: name of the signature, DOCUMENTS_SIGNATURE or RUN_SIGNATURE.
        private: the key; None signs with the environment's identity.

    Raises:
        RegistryError: the key or the identity cannot sign.
    """
    (directory / name).unlink(missing_ok=True)
    _sign(directory, directory / name, private, name)


def _sign(directory: Path, signature: Path, private: Path | None, ignored: str | None = None) -> None:
    from model_signing import signing

    config = signing.Config()  # type: ignore[no-untyped-call]
    if ignored:
        config.set_hashing_config(_hashing(directory, ignored))
    if private is None:
        _sign_by_identity(config, directory, signature)
        return
    # Read first: of what is no key, the library says less.
    public_key(private)
    try:
        config.use_elliptic_key_signer(private_key=private).sign(directory, signature)
    except ValueError as error:
        raise RegistryError(f"{private}: cannot sign {directory}: {error}") from error


def _hashing(directory: Path, ignored: str) -> Any:
    from model_signing import hashing

    # By default the library leaves out .gitignore and others, in which something could be hidden.
    return hashing.Config().set_ignored_paths(paths=[directory / ignored], ignore_git_paths=False)  # type: ignore[no-untyped-call]


def keyless() -> bool:
    """Return whether ALMANAC_SIGNING asks for a signature by the environment's identity."""
    return os.environ.get("ALMANAC_SIGNING", "key") == "keyless"


def sigstore_trust() -> Path | None:
    """Return the trust configuration of another Sigstore instance, or of the public one for a place without a network.

    Without one the public instance's is fetched, which a verification needs a network for.

    Raises:
        RegistryError: ALMANAC_SIGSTORE_TRUST names no file.
    """
    configured = os.environ.get("ALMANAC_SIGSTORE_TRUST")
    if not configured:
        return None
    if not Path(configured).is_file():
        raise RegistryError(
            f"ALMANAC_SIGSTORE_TRUST: {configured} is no file; expected a trust configuration of Sigstore's clients"
        )
    return Path(configured)


def sign_keyless(directory: Path, target: Path) -> None:
    """Sign with the environment's identity, such as a workflow's OpenID token, through Sigstore.

    Raises:
        RegistryError: the environment has no identity, or Sigstore cannot be reached.
    """
    target.mkdir(parents=True, exist_ok=True)
    _sign(directory, target / SIGNATURE, None)


def _sign_by_identity(config: Any, directory: Path, signature: Path) -> None:
    trust = sigstore_trust()
    try:
        config.use_sigstore_signer(use_ambient_credentials=True, trust_config=trust).sign(directory, signature)
    except Exception as error:  # Sigstore's clients raise errors of many libraries
        raise RegistryError(f"ALMANAC_SIGNING=keyless: cannot sign {directory}: {error}") from error


def verify(directory: Path, signature: Path, trust: Path | Identity, contents: bool = False) -> None:
    """Check that `directory` holds exactly the signed files, and who signed them.

    Args:
        directory: the signed directory.
        signature: the signature's file.
        trust: the signer's public key, or the identity of a keyless signature.
        contents: whether the signature is in the directory, as `sign_contents` writes it.

    Raises:
        RegistryError: another signer, an altered, missing or additional file, or an unreadable signature.
    """
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    if contents:
        config.set_hashing_config(_hashing(directory, signature.name))
    instance = None if isinstance(trust, Path) else sigstore_trust()
    try:
        if isinstance(trust, Path):
            config.use_elliptic_key_verifier(public_key=trust)
        else:
            config.use_sigstore_verifier(identity=trust.subject, oidc_issuer=trust.issuer, trust_config=instance)
        config.verify(directory, signature)
    except Exception as error:  # the library raises Sigstore's, protobuf's and its own errors
        signer = trust if isinstance(trust, Path) else trust.subject
        # The library names each file, with both digests as Python writes bytes.
        raise RegistryError(f"{signature}: no valid signature of {directory} by {signer}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return which files a signature does not fit; the library adds digests as Python writes them."""
    text = str(error).replace("\\'", "'")
    differing = re.findall(r"Hash mismatch for '(.+?)'", text)
    lists = re.findall(r"(Extra|Missing) files (?:found )?in model '.*?': (.*?)[\"'](?:\]|, [\"'])", text)
    found = {"altered": ", ".join(differing)} | {_KINDS[kind]: names for kind, names in lists}
    return "; ".join(f"{kind}: {names}" for kind, names in found.items() if names) or text or type(error).__name__
