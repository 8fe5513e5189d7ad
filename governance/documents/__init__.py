"""Governance documents in which every figure is a reference to an artifact."""

from governance.documents.bundle import write_documents
from governance.documents.evidence import run_files
from governance.documents.statements import MANDATORY, check_statements

__all__ = ["MANDATORY", "check_statements", "run_files", "write_documents"]
