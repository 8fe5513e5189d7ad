"""A contact is an address."""

import pytest

from almanac.usecase.address import check_address, is_placeholder


@pytest.mark.parametrize(
    "address",
    ["team@company.com", "mailto:team@company.co.uk", "https://tracker.company.com/new", "tel:+44 20 7946 0000"],
)
def test_addresses(address: str) -> None:
    assert check_address(address) == address
    assert not is_placeholder(address)


@pytest.mark.parametrize(
    "text",
    ["the issue tracker", "", "@company.com", "team@", "team@company", "https://", "https://host", "tel:", "a b@c.de"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address; expected an e-mail address"):
        check_address(text)


@pytest.mark.parametrize(
    "address", ["nobody@example.org", "a@almanac.example", "https://www.example.com/x", "a@b.test"]
)
def test_placeholders(address: str) -> None:
    assert is_placeholder(check_address(address))
