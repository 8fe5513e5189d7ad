"""The errors that Almanac raises on purpose.

AlmanacError
├── UseCaseError        a use case file that breaks a rule
├── SourceError         a source that is unreachable, altered or unreadable
├── TableError          a table that breaks a rule: column, type, range, time order
├── FeatureError        a feature specification or a feature input that cannot be computed
├── TrainingError       a target, fold or candidate that cannot be trained
├── WorkerError         worker processes that do not start, are of another version or were lost
├── TrackingError       an archive of a training that cannot be uploaded
├── ModelError          a model directory that is incomplete, altered or of another version
├── MetricError         a metric that is not a finite number
├── GateError           a gate that closed, or a gate rule that cannot be evaluated
├── DriftError          a profile or a window that cannot be compared
├── RegistryError       a registry operation that is refused
├── PersonError         a person's name that is unusable, or cannot be told from another one
├── RemediationError    a plan, an approval or an execution that is refused
├── HistoryError        a history that cannot be opened, migrated or rebuilt
├── ConsoleError        a console that cannot start as configured, or an act that it refuses
├── ReportError         a report that cannot be made: its period, its templates, its programs
├── NotificationError   settings of notifications that cannot be used, or a message that was not sent
├── BackupError         a backup that cannot be made, read or restored
├── SecretError         a secret that the settings name and that is missing
├── AgentError          a policy, an alarm or an action that the agent cannot take
├── DocumentError       a governance document that cannot be written or does not verify
├── DeploymentError     a manifest that cannot be rendered or applied
├── ServingError        a server that cannot start as configured
├── ExtensionError      an installed extension that cannot be loaded, or a kind registered twice
├── NoCompilerError     compiled code that is missing and cannot be built
└── PipelineError       a pipeline that cannot be run, compiled or submitted
    ├── InterruptedRunError a run that its user ended
    ├── UnreachableError    a cluster that does not answer
    ├── RefusedError        a cluster that refuses the token
    ├── ClashError          a version's name that is taken by another file
    └── RunError            a run on a cluster that failed, was cancelled or did not end in time

Every message names the problem, its location (file, field, column or row), and the expected state:

    try:
        run("usecases/demand.yaml")
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code)
"""

from collections.abc import Mapping
from typing import Any


class AlmanacError(Exception):
    """Base of every error that Almanac raises on purpose; `exit_code` is the exit status of a command."""

    exit_code = 1


class UseCaseError(AlmanacError, ValueError):
    """A use case file that breaks a rule."""


class SourceError(AlmanacError, OSError):
    """A source that is unreachable, altered or unreadable."""


class TableError(AlmanacError, ValueError):
    """A table that breaks a rule."""


class FeatureError(AlmanacError, ValueError):
    """A feature specification, or an input to it, that cannot be computed."""


class TrainingError(AlmanacError, ValueError):
    """A target, fold or candidate that cannot be trained."""


class WorkerError(AlmanacError):
    """Worker processes that do not start, are of another version or were lost."""


class TrackingError(AlmanacError, OSError):
    """An archive of a training that cannot be uploaded; the training itself is complete."""


class ModelError(AlmanacError, ValueError):
    """A model directory that is incomplete, altered or of another version."""


class MetricError(AlmanacError, ValueError):
    """A metric that is not a finite number."""


#: Beginning of the message on a gate that closed, by which the log of a run tells it from a failure.
CLOSED = "The gate is closed:"


class GateError(AlmanacError):
    """A gate that closed, or a gate rule that cannot be evaluated."""

    exit_code = 3


def gate_message(decision: Mapping[str, Any]) -> str:
    """Return the message on a gate that closed: the rules of its decision that do not hold."""
    failed = (rule["message"] for rule in decision["rules"] if not rule["passed"])
    return "\n".join([CLOSED, *(f"  {message}" for message in failed)])


class DriftError(AlmanacError, ValueError):
    """A profile or a window that cannot be compared."""


class RegistryError(AlmanacError):
    """A registry operation that is refused; nothing was changed."""


class PersonError(AlmanacError, ValueError):
    """A person's name that is unusable or too similar to another person's."""


class RemediationError(AlmanacError):
    """A plan, an approval or an execution that is refused; nothing was started."""


class HistoryError(AlmanacError):
    """A history that cannot be opened, migrated or rebuilt; its origins are untouched."""


class ConsoleError(AlmanacError):
    """A console that cannot start as configured, or an act that it refuses."""


class ReportError(AlmanacError):
    """A report that cannot be made: an unknown period, a template with an error, a missing program."""


class NotificationError(AlmanacError):
    """Settings of notifications that cannot be used, or a message that was not sent."""


class BackupError(AlmanacError):
    """A backup that cannot be made, read or restored."""


class SecretError(AlmanacError):
    """A secret that the settings name is missing."""


class AgentError(AlmanacError):
    """A policy, an alarm or an action that the agent cannot take."""


class DocumentError(AlmanacError, ValueError):
    """A governance document that cannot be written, or does not verify."""


class DeploymentError(AlmanacError):
    """A manifest that cannot be rendered or applied."""


class ServingError(AlmanacError):
    """A server that cannot start as configured."""


class ExtensionError(AlmanacError, ImportError):
    """An installed extension that cannot be loaded, or a kind that is registered twice."""


class NoCompilerError(AlmanacError):
    """Compiled code that is missing and cannot be built on this machine."""


class PipelineError(AlmanacError):
    """A pipeline that cannot be run, compiled or submitted."""


class InterruptedRunError(PipelineError):
    """A run that its user ended."""

    exit_code = 130


class UnreachableError(PipelineError):
    """A cluster that does not answer."""

    exit_code = 4


class RefusedError(PipelineError):
    """A cluster that refuses the token."""

    exit_code = 5


class ClashError(PipelineError):
    """A version's name that is taken by another file."""

    exit_code = 6


class RunError(PipelineError):
    """A run on a cluster that failed, was cancelled or did not end in time."""

    exit_code = 7
