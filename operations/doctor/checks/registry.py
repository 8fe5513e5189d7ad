"""The model registry: reached, written, and its chains of events whole."""

from collections.abc import Iterator

from governance.registry import Registry
from governance.registry.stores import open_store
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, warning


def _look(patient: Patient) -> Iterator[Finding]:
    registry = Registry(patient.registry)
    names = registry.use_cases()
    open_store(patient.registry).probe()
    yield ok(f"{patient.registry}: read and written, and a second writer of a key is refused")
    if not names:
        yield warning(f"{patient.registry}: no use case is registered", "run a training: `almanac run FILE`")
    for subject in patient.subjects:
        if subject.usecase is None and subject.name not in names:
            yield failed(
                f"{subject.name}: is not registered, and no use case file; registered are {', '.join(names) or 'none'}",
                "give its file, or a name of these",
            )
    for name in names:
        state = registry.verify(name)
        yield ok(f"{name}: {len(state.versions)} versions, and their files and events verify")
        if registry.current(name) is None:
            yield failed(f"{name}: no version is in production", f"`almanac registry promote {name} VERSION`")


KIND = Check("registry", "Is the registry reached and written, and does what it holds verify?", _look)
