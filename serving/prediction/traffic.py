"""The versions of one use case in service, and how its requests are divided between them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from almanac.model.bundle import Bundle

Role = Literal["split", "shadow"]


@dataclass(frozen=True)
class Traffic:
    """The versions in service.

    Attributes:
        primary: the version that answers.
        second: a second version, or None.
        role: split: it answers its share of the requests; shadow: it predicts too, but its answer is only measured.
        share: share of the requests that the second version gets, 0 to 1.
    """

    primary: Bundle
    second: Bundle | None = None
    role: Role = "split"
    share: float = 0.0

    @property
    def bundles(self) -> list[Bundle]:
        """Both versions, or the only one."""
        return [self.primary] if self.second is None else [self.primary, self.second]


#: Takes the name of a use case, and its versions in service or None once it is unloaded.
Watcher = Callable[[str, Traffic | None], None]
#: Raises an AlmanacError for a version that cannot take over.
Check = Callable[[Bundle], None]
