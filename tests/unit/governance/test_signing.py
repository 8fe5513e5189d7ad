"""Signatures, held against OpenSSF's own library in both directions."""

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from model_signing import verifying

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
