"""The release is known in an image as well, where the code lies without a package's metadata."""

from importlib import metadata

import pytest

from operations import release


def test_a_checkout_states_the_release_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = release.release()

    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(release, "version", unknown)
    assert release.release() == installed == metadata.version("almanac")
