"""Check of the statements and answers that the documents need, before hours of computing rather than after."""

from typing import Any

from almanac.core.errors import DocumentError
from almanac.usecase import UseCase
from governance.documents.bundle import not_stated
from governance.documents.kinds.risk_assessment.risk import check_answers, check_given_answers
from governance.documents.statements import check_given, check_statements


def check_governance(usecase: UseCase) -> None:
    """Refuse a use case whose documents would not be complete.

    Raises:
        DocumentError: every statement and every answer that is missing or wrong, by name.
    """
    governance = usecase.governance.model_dump(mode="json")
    _check(usecase, "need more of governance", (check_statements, governance), (check_answers, governance["risk"]))


def check_draft(usecase: UseCase) -> list[str]:
    """Return the fields that are not stated, none but in a draft.

    Raises:
        DocumentError: every statement and every answer that is given and wrong, by name.
    """
    governance = usecase.governance.model_dump(mode="json")
    _check(usecase, "cannot use this", (check_given, governance), (check_given_answers, governance["risk"]))
    return not_stated(governance)


def _check(usecase: UseCase, problem: str, *checks: tuple[Any, Any]) -> None:
    faults = []
    for check, section in checks:
        try:
            check(section)
        except DocumentError as error:
            faults.append(str(error))
    if faults:
        raise DocumentError("\n".join([f"{usecase.name}: the documents {problem}", *faults]))
