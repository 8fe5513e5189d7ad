"""No secret passes: not in an address, a header, an option or a well-known form."""

import pytest

from operations.agent.redaction import without_secrets

SECRETS = [
    "postgresql://ann:hunter22@db/almanac cannot be reached",
    "Authorization: Bearer hunter22hunter22",
    "x-api-key: almanac_0123456789ab_hunter22hunter22hunter22",
    'password="hunter22" is wrong',
    "AWS_SECRET_ACCESS_KEY=hunter22 is set",
    "token: hunter22, retried",
    '{"client_secret": "hunter22"}',
    "https://hooks.slack.com/services/T0/B0/hunter22 refused",
    "s3://bucket/key?X-Amz-Signature=hunter22",
    "eyJhbGciOiJIUzI1.hunter22hunter22.sig was refused",
    "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_hidden(text: str) -> None:
    assert "hunter22" not in without_secrets(text)


def test_other_text_is_kept() -> None:
    text = "the table of demo breaks 1 of its rules: temp: 3 values beyond -40 to 50 °C (http://127.0.0.1:8080/metrics)"
    assert without_secrets(text) == text
