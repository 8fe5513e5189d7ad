"""Signatures, held against OpenSSF's own library in both directions."""

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from model_signing import verifying
from sigstore.models import ClientTrustConfig

from almanac.core.errors import RegistryError
from governance import signing
from governance.dsse import verify_signature


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "load_1h").mkdir(parents=True)
    (folder / "load_1h" / "model.bst").write_text("tree\n")
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "key.pem"
    signing.generate_key(path)
    return path


@pytest.fixture
def signed(model: Path, key: Path, tmp_path: Path) -> Path:
    signing.sign(model, tmp_path / "signed", key)
    return tmp_path / "signed"


def test_the_library_and_this_verifier_agree(model: Path, signed: Path) -> None:
    verify_signature(model, signed / "model.sig", signed / "model.pub")
    config = verifying.Config()  # type: ignore[no-untyped-call]
    config.use_elliptic_key_verifier(public_key=signed / "model.pub").verify(model, signed / "model.sig")


def refused(model: Path, signature: Path, public: Path, library: str, quick: str) -> None:
    """Both verifiers refuse, each in its own words."""
    with pytest.raises(RegistryError, match=library):
        signing.verify(model, signature, public)
    with pytest.raises(RegistryError, match=quick):
        verify_signature(model, signature, public)


@pytest.mark.parametrize(
    ("change", "library", "quick"),
    [
        (
            lambda body: body.write_text("free\n"),
            r"altered: load_1h/model\.bst",
            r"model\.bst: not the file that",
        ),
        (
            lambda body: (body.parent / "more").write_text("more"),
            "additional: load_1h/more",
            "more: additional",
        ),
        (lambda body: body.unlink(), r"missing: load_1h/model\.bst", r"load_1h/model\.bst: missing"),
    ],
    ids=["altered", "additional", "missing"],
)
def test_an_altered_a_missing_and_an_additional_file(
    model: Path, signed: Path, change: Callable[[Path], object], library: str, quick: str
) -> None:
    change(model / "load_1h" / "model.bst")
    refused(model, signed / "model.sig", signed / "model.pub", library, quick)


def test_a_link_in_place_of_a_file(model: Path, signed: Path, tmp_path: Path) -> None:
    body = model / "load_1h" / "model.bst"
    body.rename(tmp_path / "elsewhere")
    body.symlink_to(tmp_path / "elsewhere")
    refused(
        model,
        signed / "model.sig",
        signed / "model.pub",
        r"model\.bst' because it is a symlink",
        r"model\.bst: not the file",
    )


def test_another_key_and_an_edited_payload(model: Path, signed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    signing.generate_key(other)
    (tmp_path / "other.pub").write_bytes(signing.public_key(other))
    refused(
        model, signed / "model.sig", tmp_path / "other.pub", r"by .*other\.pub: Key mismatch", "not signed with the key"
    )
    path = signed / "model.sig"
    bundle = json.loads(path.read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"manifest.json", b"manifest.jsox")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    path.write_text(json.dumps(bundle))
    refused(model, path, signed / "model.pub", r"model\.sig: no valid signature", "not signed with the key")
    path.write_text("{}")
    refused(model, path, signed / "model.pub", r"model\.sig: no valid signature", "not a signature bundle")


def test_keys_are_made_once_and_for_their_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = signing.signing_key()
    data = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signing.generate_key(path)
    assert signing.signing_key().read_bytes() == data


def test_a_cluster_needs_a_named_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: Path) -> None:
    monkeypatch.delenv("ALMANAC_SIGNING_KEY", raising=False)
    with pytest.raises(RegistryError, match="ALMANAC_SIGNING_KEY is not set"):
        signing.signing_key("cluster")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(tmp_path / "absent.pem"))
    with pytest.raises(RegistryError, match="does not name a file"):
        signing.signing_key("cluster")
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", key.read_text())
    with pytest.raises(RegistryError) as told:
        signing.signing_key("cluster")
    assert "PRIVATE" not in str(told.value)
    monkeypatch.delenv("ALMANAC_SIGNING_KEY")
    monkeypatch.setattr(signing, "MOUNTED_KEY", key)
    assert signing.signing_key("cluster") == key
    monkeypatch.setenv("ALMANAC_SIGNING_KEY", str(key))
    assert signing.signing_key("cluster") == key


def test_a_file_that_is_no_key(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no key")
    with pytest.raises(RegistryError, match=r"bad\.pem: not an unencrypted PEM private key"):
        signing.sign(model, tmp_path / "signed", tmp_path / "bad.pem")


KEYLESS = Path(__file__).resolve().parents[2] / "support" / "keyless.sig"
SIGNER = signing.Identity("stefanb@us.ibm.com", "https://sigstore.verify.ibm.com/oauth2")


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two files with the signature that Sigstore's public instance made of them, and that instance's trust at hand.

    The signature is from the tests of sigstore/model-transparency (scripts/tests/v1.1.0-sigstore, Apache-2.0).
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    trust = tmp_path / "trust.json"
    # The roots that the library brings along; without them it would ask the network.
    trust.write_text(ClientTrustConfig.production(offline=True)._inner.to_json())
    monkeypatch.setenv("ALMANAC_SIGSTORE_TRUST", str(trust))
    folder = tmp_path / "keyless"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"signme-{number}").write_text(f"signme-{number}")
    return folder


def test_a_keyless_signature_is_verified_without_a_network(keyless: Path) -> None:
    """By certificate, transparency log and time stamp, of which the certificate was valid for ten minutes only."""
    signing.verify(keyless, KEYLESS, SIGNER)


@pytest.mark.parametrize(
    "identity",
    [
        signing.Identity("eve@us.ibm.com", SIGNER.issuer),
        signing.Identity(SIGNER.subject, "https://token.actions.githubusercontent.com"),
    ],
)
def test_a_keyless_signature_of_somebody_else(keyless: Path, identity: signing.Identity) -> None:
    with pytest.raises(RegistryError, match=r"keyless\.sig: no valid signature of .* by "):
        signing.verify(keyless, KEYLESS, identity)


def test_files_that_a_keyless_signature_does_not_fit(keyless: Path) -> None:
    (keyless / "signme-2").write_text("signme-3")
    with pytest.raises(RegistryError, match="altered: signme-2"):
        signing.verify(keyless, KEYLESS, SIGNER)
    (keyless / "signme-2").write_text("signme-2")
    (keyless / "signme-3").write_text("")
    with pytest.raises(RegistryError, match="signme-3"):
        signing.verify(keyless, KEYLESS, SIGNER)


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("payload", "bWUiOiAidjEuMS4wLXNpZ3N0b3JlIiwK", "bWUiOiAidjEuMS4xLXNpZ3N0b3JlIiwK"),
        ("certificate", "MIIC4TCC", "MIIC4TCD"),
        ("log", "476246825", "476246826"),
    ],
)
def test_an_edited_keyless_signature(keyless: Path, tmp_path: Path, place: str, old: str, new: str) -> None:
    text = KEYLESS.read_text()
    assert old in text, place
    edited = tmp_path / "edited.sig"
    edited.write_text(text.replace(old, new))
    with pytest.raises(RegistryError, match="no valid signature"):
        signing.verify(keyless, edited, SIGNER)


def test_a_trust_configuration_that_is_no_file(keyless: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALMANAC_SIGSTORE_TRUST", str(tmp_path / "none.json"))
    with pytest.raises(RegistryError, match=r"ALMANAC_SIGSTORE_TRUST: .*none\.json is no file"):
        signing.verify(keyless, KEYLESS, SIGNER)
