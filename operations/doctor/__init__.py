"""Checks of an installation: versions, reachability, permissions, clocks, disk, secrets, schedules."""

from operations.doctor.check import CHECKS, Check, Patient
from operations.doctor.examination import Result, examine
from operations.doctor.finding import Finding, Status

__all__ = ["CHECKS", "Check", "Finding", "Patient", "Result", "Status", "examine"]
