"""What people must supply for the documents, looked at before hours of computing rather than after."""

from almanac.core.errors import DocumentError
from almanac.usecase import UseCase
from governance.documents.kinds.risk_assessment.risk import check_answers
from governance.documents.statements import check_statements


def check_facts(usecase: UseCase) -> None:
    """Refuse a use case whose documents could not be written.

    Raises:
        DocumentError: every statement and every answer that is missing or wrong, by name.
    """
    governance = usecase.governance.model_dump(mode="json")
    faults = []
    for check, given in ((check_statements, governance), (check_answers, governance["risk"])):
        try:
            check(given)
        except DocumentError as error:
            faults.append(str(error))
    if faults:
        raise DocumentError("\n".join([f"{usecase.name}: the documents need more of governance", *faults]))
