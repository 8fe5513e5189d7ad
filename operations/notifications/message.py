"""A message about one thing that happened, or a report, before it takes the form of a channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from almanac.core.files import canonical_json, sha256_bytes


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        kind: kind of event, or weekly or monthly.
        use_case: name of the use case.
        identity: what it is about: the digest of an event, the name of a period.
        title: one line.
        lines: further lines, each a sentence.
        link: its page in the console.
        command: the command that does what the page is for; empty where there is nothing to do.
        when: when it happened, ISO 8601 with an offset.
        facts: values for programs.
        documents: file name -> content of what is attached.
    """

    kind: str
    use_case: str
    identity: str
    title: str
    lines: tuple[str, ...]
    link: str
    command: str
    when: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)

    def key(self, channel: str, recipient: str) -> str:
        """Return the identity of its delivery, the same in every process.

        Args:
            channel: kind of the channel; its name may change.
            recipient: address, or name of a channel whose address is a secret.
        """
        return sha256_bytes(canonical_json([self.use_case, self.kind, self.identity, channel, recipient]))
