"""The gRPC messages of kserve's wheel.

`import kserve` also imports pandas, FastAPI and the Kubernetes client: some 200 MB, and seconds at a cold start. The
generated messages need none of them, so they are loaded from their file.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError

_NAME = "kserve.protocol.grpc.grpc_predict_v2_pb2"


def load_messages() -> Any:
    """Load kserve's module of generated messages.

    Raises:
        ServingError: kserve is not installed.
    """
    # In a process that imported kserve, a second copy of the messages could not be registered.
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = importlib.util.find_spec("kserve")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise ServingError("--grpc-port needs the kserve package")
    path = Path(folders[0]) / "protocol" / "grpc" / "grpc_predict_v2_pb2.py"
    spec = importlib.util.spec_from_file_location("almanac_grpc_predict_v2_pb2", path)
    if spec is None or spec.loader is None:
        raise ServingError(f"{path}: kserve's messages are not at the expected path")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
