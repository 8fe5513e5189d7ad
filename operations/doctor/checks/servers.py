"""Model servers: ready, and serving the version in production."""

from collections.abc import Iterator

import httpx

from governance.registry import Registry
from operations.doctor.answers import ask, document, reason
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped, warning


def _look(patient: Patient) -> Iterator[Finding]:
    if not patient.servers:
        yield skipped("no server was given (--server URL)")
    registry = Registry(patient.registry)
    for address in patient.servers:
        try:
            ask(f"{address}/v2/health/ready")
        except httpx.HTTPError as error:
            yield failed(f"{address}: is not ready ({reason(error)})", "see the server's log and its `GET /readyz`")
            continue
        for name in registry.use_cases():
            yield from _served(address, name, registry)


def _served(address: str, name: str, registry: Registry) -> Iterator[Finding]:
    current = registry.current(name)
    try:
        versions = document(f"{address}/v2/models/{name}").get("versions", [])
    except (httpx.HTTPError, ValueError):
        # A server of other use cases is right not to know it.
        return
    wanted = None if current is None else str(current.number)
    if wanted in versions or any(str(version).startswith(f"{wanted}-") for version in versions):
        yield ok(f"{address}: serves {name} version {wanted}")
    else:
        served = ", ".join(map(str, versions)) or "nothing"
        yield warning(f"{address}: serves {served} of {name}, and version {wanted} is in production", "reload it")


KIND = Check("servers", "Are the servers ready, and do they serve the version in production?", _look)
