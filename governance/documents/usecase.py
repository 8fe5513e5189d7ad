"""Comparison of a documented use case with its model."""

from almanac.core.errors import AlmanacError, DocumentError
from almanac.usecase import load_text
from almanac.usecase.views import trained_digest
from governance.documents.artifacts import Artifacts
from governance.documents.layout import USECASE


def is_trained_from(artifacts: Artifacts) -> bool:
    """Return whether the model was trained from the documented use case, as far as training reads it.

    Raises:
        DocumentError: the use case breaks a rule of this release, or needs an extension that is not installed.
    """
    recorded, whole = artifacts.value("model/manifest.json", "/use_case_digest"), artifacts[USECASE]
    # Models of earlier releases record the digest of the whole.
    if recorded == whole.sha256:
        return True
    try:
        return bool(recorded == trained_digest(load_text(whole.data.decode(), USECASE)))
    except AlmanacError as error:
        raise DocumentError(str(error)) from error
