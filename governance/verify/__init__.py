"""Verification of a version: every file, document, figure, prediction, signature and event is looked at again."""

from governance.verify.verification import Request, Step, examine, verify, verify_documents

__all__ = ["Request", "Step", "examine", "verify", "verify_documents"]
