"""The one place that names the container image in which the components run."""

import os

VERSION = "0.1.0"

#: A release's or a revision's tag, never `latest`: Kubeflow's cache knows an image by its name alone. The word
#: python in the name tells kfp's SubprocessRunner that a Python environment can stand in for it.
IMAGE = os.environ.get("ALMANAC_IMAGE", f"ghcr.io/almanac/components-python:{VERSION}")

#: The image of the model server, which carries no training stack.
SERVING_IMAGE = os.environ.get("ALMANAC_SERVING_IMAGE", f"ghcr.io/almanac/serving:{VERSION}")
