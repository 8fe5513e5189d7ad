"""Names of the container images."""

import os

VERSION = "0.1.0"

#: A release's or a revision's tag, never `latest`, because Kubeflow's cache identifies an image by its name only.
#: The word python in the name lets kfp's SubprocessRunner use a local Python environment instead.
IMAGE = os.environ.get("ALMANAC_IMAGE", f"ghcr.io/almanac/components-python:{VERSION}")

#: The image of the operations room.
OPERATIONS_IMAGE = os.environ.get("ALMANAC_OPERATIONS_IMAGE", f"ghcr.io/almanac/operations:{VERSION}")

#: The image of the model server, without the training stack.
SERVING_IMAGE = os.environ.get("ALMANAC_SERVING_IMAGE", f"ghcr.io/almanac/serving:{VERSION}")
