"""Check of the statements and answers that the documents need, before hours of computing rather than after."""

from almanac.core.errors import DocumentError
from almanac.usecase import UseCase
from governance.documents.kinds.risk_assessment.risk import check_answers
from governance.documents.statements import check_statements


def check_governance(usecase: UseCase) -> None:
    """Refuse a use case whose documents cannot be written.

    Raises:
        DocumentError: every statement and every answer that is missing or wrong, by name.
    """
    governance = usecase.governance.model_dump(mode="json")
    faults = []
    for check, section in ((check_statements, governance), (check_answers, governance["risk"])):
        try:
            check(section)
        except DocumentError as error:
            faults.append(str(error))
    if faults:
        raise DocumentError("\n".join([f"{usecase.name}: the documents need more of governance", *faults]))
