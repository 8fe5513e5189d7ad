"""A registry's store in memory, for tests of many thousand events; it keeps the contract of `Store`."""

from governance.registry.store import Store


class MemoryStore(Store):
    """Objects in a dictionary."""

    url = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def create(self, key: str, data: bytes) -> None:
        """Add an object."""
        if key in self.objects:
            raise FileExistsError(key)
        self.objects[key] = data

    def replace(self, key: str, data: bytes) -> None:
        """Set an object."""
        self.objects[key] = data

    def read(self, key: str) -> bytes:
        """Return an object."""
        try:
            return self.objects[key]
        except KeyError:
            raise FileNotFoundError(key) from None

    def keys(self, prefix: str) -> list[str]:
        """List one level."""
        return sorted({name.split("/")[0] for name in self.tree(prefix)})

    def tree(self, prefix: str) -> list[str]:
        """List all levels."""
        top = f"{prefix}/"
        return sorted(key.removeprefix(top) for key in self.objects if key.startswith(top))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.objects.pop(key, None)
