"""The errors that Almanac raises on purpose.

AlmanacError
├── UseCaseError        a use case file that does not say what it must
├── SourceError         a source that is unreachable, altered or unreadable
├── TableError          a table that breaks a rule: column, type, range, time order
├── FeatureError        a feature specification or a feature input that cannot be computed
├── TrainingError       a target, fold or candidate that cannot be trained
├── WorkerError         worker processes that cannot be had, are of another version or were lost
├── TrackingError       an archive of a training that cannot be uploaded
├── ModelError          a model directory that is incomplete, altered or of another version
├── MetricError         a figure that is not a finite number
├── GateError           a gate that closed, or a gate rule that cannot be evaluated
├── DriftError          a profile or a window that cannot be compared
├── RegistryError       a registry operation that is refused
├── RemediationError    a plan, an approval or an execution that is refused
├── DocumentError       a governance document that cannot be written or does not verify
├── DeploymentError     a manifest that cannot be rendered or applied
├── ServingError        a server that cannot start as configured
├── ExtensionError      an installed extension that cannot be loaded, or a kind registered twice
├── NoCompilerError     compiled code that is not there and cannot be made
└── PipelineError       a pipeline that cannot be run, compiled or submitted
    ├── InterruptedRunError a run that its user ended
    ├── UnreachableError    a cluster that does not answer
    ├── RefusedError        a cluster that refuses the token
    ├── ClashError          a version's name that another file has
    └── RunError            a run on a cluster that failed, was cancelled or did not end in time

Every message says what is wrong, where (file, field, column or row), and what would be right:

    try:
        run("usecases/demand.yaml")
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code)
"""


class AlmanacError(Exception):
    """Base of every error that Almanac raises on purpose; `exit_code` is what a command line returns."""

    exit_code = 1


class UseCaseError(AlmanacError, ValueError):
    """A use case file that does not say what it must."""


class SourceError(AlmanacError, OSError):
    """A source that is unreachable, altered or unreadable."""


class TableError(AlmanacError, ValueError):
    """A table that breaks a rule."""


class FeatureError(AlmanacError, ValueError):
    """A feature specification, or an input to it, that cannot be computed."""


class TrainingError(AlmanacError, ValueError):
    """A target, fold or candidate that cannot be trained."""


class WorkerError(AlmanacError):
    """Worker processes that cannot be had, are of another version or were lost."""


class TrackingError(AlmanacError, OSError):
    """An archive of a training that cannot be uploaded; the training itself is whole."""


class ModelError(AlmanacError, ValueError):
    """A model directory that is incomplete, altered or of another version."""


class MetricError(AlmanacError, ValueError):
    """A figure that is not a finite number."""


class GateError(AlmanacError):
    """A gate that closed, or a gate rule that cannot be evaluated."""

    exit_code = 3


class DriftError(AlmanacError, ValueError):
    """A profile or a window that cannot be compared."""


class RegistryError(AlmanacError):
    """A registry operation that is refused; nothing was changed."""


class RemediationError(AlmanacError):
    """A plan, an approval or an execution that is refused; nothing was started."""


class DocumentError(AlmanacError, ValueError):
    """A governance document that cannot be written, or does not verify."""


class DeploymentError(AlmanacError):
    """A manifest that cannot be rendered or applied."""


class ServingError(AlmanacError):
    """A server that cannot start as configured."""


class ExtensionError(AlmanacError, ImportError):
    """An installed extension that cannot be loaded, or a kind that is registered twice."""


class NoCompilerError(AlmanacError):
    """No compiled kernels were found, and none can be made here."""


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
    """A version's name that another file has."""

    exit_code = 6


class RunError(PipelineError):
    """A run on a cluster that failed, was cancelled or did not end in time."""

    exit_code = 7
