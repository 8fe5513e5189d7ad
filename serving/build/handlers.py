"""The router of a server, with the handler of each operation."""

from serving.protocol.admin import Admin
from serving.protocol.canary_orders import CanaryOrders
from serving.protocol.maintenance_orders import MaintenanceOrders
from serving.protocol.router import Handler, Router
from serving.protocol.routes import routes
from serving.protocol.step_forecasts import StepForecasts
from serving.protocol.v1 import V1
from serving.protocol.v2 import V2


def made_router(
    v1: V1, v2: V2, admin: Admin, orders: CanaryOrders, steps: StepForecasts, maintenance: MaintenanceOrders
) -> Router:
    """Return the router of the operations of `serving.protocol.routes`."""
    tables: dict[str, dict[str, Handler]] = {
        "http": {
            "live": admin.live, "health": admin.health, "metrics": admin.metrics, "openapi": admin.openapi,
            "docs": admin.docs,
        },
        "v1": {
            "predict": v1.predict, "explain": v1.explain, "list": v1.models, "ready": v1.ready,
            "ingest": admin.ingest, "feedback": admin.feedback, "steps": steps.forecast,
        },
        "v2": {
            "infer": v2.infer, "metadata": v2.metadata, "live": v2.live, "health": v2.ready, "list": v2.models,
            "model": v2.model, "ready": v2.model_ready, "index": admin.index, "load": admin.load,
            "unload": admin.unload, "canary_state": orders.state, "canary": orders.order,
            "maintenance_state": maintenance.state, "maintenance": maintenance.order,
        },
    }  # fmt: skip
    return Router(
        routes({(protocol, verb): handler for protocol, table in tables.items() for verb, handler in table.items()})
    )
