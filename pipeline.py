"""The pipelines, and the command line that runs, compiles and submits them: `python pipeline.py --help`."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from kfp import dsl

from almanac.core.errors import AlmanacError, PipelineError
from almanac.core.files import pretty_json
from almanac.usecase import UseCase, dump, load, schema
from almanac.usecase.override import load_with
from components.deployment.component import deployment
from components.documentation.component import documentation
from components.drift.component import drift
from components.evaluation.component import evaluation
from components.gate.component import gate
from components.ingestion.component import ingestion
from components.monitoring.component import monitoring
from components.prediction.component import prediction
from components.preprocessing.component import preprocessing
from components.registration.component import registration
from components.rejection.component import rejection
from components.remediation.component import remediation
from components.training.component import training
from components.validation.component import validation
from orchestration import compiled, recurring, submission
from orchestration.cluster import Cluster
from orchestration.console import Screen
from orchestration.local import Runner
from orchestration.run import Request, run_training, show
from orchestration.settings import PIPELINE, configure
from orchestration.statements_check import check_facts

USECASES = Path(__file__).resolve().parent / "usecases"
COMPONENTS = {
    component.name.replace("-", "_"): component
    for component in (
        ingestion,
        validation,
        drift,
        preprocessing,
        training,
        evaluation,
        gate,
        registration,
        documentation,
        deployment,
        rejection,
        prediction,
        monitoring,
        remediation,
    )
}
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


#: What the parameters of the pipelines are; the Kubeflow form shows it.
PARAMETERS = {
    "usecase": "The use case as JSON.",
    "base": "Directory that file sources are relative to.",
    "registry": "Address of the model registry: s3://, gs:// or a path; left as it is on a cluster, that of the config "
    "map almanac.",
    "environment": "local or cluster; decides the approval policy, and where a retraining is started.",
    "start": "First prediction time in ISO 8601, or windows:3; the newest time when empty.",
    "stop": "End of the span in ISO 8601, exclusive; the end of the data when empty.",
    "log": "Directory or URL that servers and the batch pipeline keep predictions in and the monitoring pipeline "
    "reads. When empty, a batch is not kept; monitoring reads where the config map almanac says, and without any "
    "predictions there predicts its windows again.",
    "push": "Directory of an exporter or address of a Pushgateway; no figures are pushed when empty.",
    "as_of": "The present in ISO 8601; the clock, or the use case's date for an archive, when empty.",
    "runs": "Directory that the run directory of a local retraining goes in.",
    "host": "Address of the Kubeflow Pipelines API; the cluster's own when empty.",
}


def pipeline_of(usecase: UseCase, kind: str) -> Callable[[Callable[..., None]], Any]:
    """Return what makes a function a pipeline of the use case; its docstring says in a line what it does."""

    def make(function: Callable[..., None]) -> Any:
        purpose = str(function.__doc__).rstrip(".")
        lines = [f"    {name}: {PARAMETERS[name]}" for name in inspect.signature(function).parameters]
        function.__doc__ = "\n".join([f"{purpose}.", "", "Args:", *lines])
        name = f"{usecase.name.replace('_', '-')}-{kind}"
        text = f"{usecase.title}: {purpose[0].lower()}{purpose[1:]}."
        return dsl.pipeline(name=name, description=text, pipeline_config=PIPELINE)(function)

    return make


def training_pipeline(case: UseCase) -> Any:
    """Return the training pipeline of a use case, which it carries as the default of its first parameter."""

    @pipeline_of(case, "training")
    def pipeline(
        usecase: str = dump(case),
        base: str = "",
        registry: str = "registry",
        environment: str = "cluster",
        push: str = "",
    ) -> None:
        """Train, judge, register and deploy."""
        table = configure(ingestion(usecase=usecase, base=base))
        valid = configure(validation(usecase=usecase, table=table.outputs["table"]))
        watched = configure(drift(usecase=usecase, table=valid.outputs["validated"], registry=registry))
        features = configure(preprocessing(usecase=usecase, table=valid.outputs["validated"]))
        model = configure(training(usecase=usecase, table=valid.outputs["validated"], **features.outputs))
        judged = configure(
            evaluation(
                usecase=usecase,
                features=features.outputs["features"],
                model=model.outputs["model"],
                tuning=model.outputs["tuning"],
            )
        )
        decided = configure(gate(usecase=usecase, figures=judged.outputs["figures"], registry=registry))
        # Drift is measured against the model in production before this run can put its own there.
        decided.after(watched)
        with dsl.If(decided.outputs["Output"] == True, name="open"):  # noqa: E712
            evidence = {
                "model": model.outputs["model"],
                "tuning": model.outputs["tuning"],
                "figures": judged.outputs["figures"],
                "evaluation": judged.outputs["evaluation"],
                "predictions": judged.outputs["predictions"],
                "decision": decided.outputs["decision"],
                "lineage": table.outputs["lineage"],
            }
            given = {"usecase": usecase, "registry": registry}
            registered = configure(registration(environment=environment, **given, **evidence))
            record = registered.outputs["registration"]
            documented = configure(documentation(registration=record, **given, **evidence))
            with dsl.If(documented.outputs["Output"] == True, name="promoted"):  # noqa: E712
                configure(deployment(environment=environment, push=push, **given))
        with dsl.Else(name="closed"):
            configure(rejection(decision=decided.outputs["decision"]))

    return pipeline


def batch_pipeline(case: UseCase) -> Any:
    """Return the batch-prediction pipeline of a use case."""

    @pipeline_of(case, "batch")
    def pipeline(
        usecase: str = dump(case),
        base: str = "",
        registry: str = "registry",
        start: str = "",
        stop: str = "",
        log: str = "",
    ) -> None:
        """Predict a span of the newest data by the model in production."""
        table = configure(ingestion(usecase=usecase, base=base))
        valid = configure(validation(usecase=usecase, table=table.outputs["table"]))
        span = {"start": start, "stop": stop, "log": log}
        configure(prediction(usecase=usecase, table=valid.outputs["validated"], registry=registry, **span))

    return pipeline


def monitoring_pipeline(case: UseCase) -> Any:
    """Return the monitoring pipeline of a use case, which acts on a breach as the drift policy says."""
    windows = {"start": f"windows:{case.drift.policy.of}", "stop": "", "log": ""}

    @pipeline_of(case, "monitoring")
    def pipeline(
        usecase: str = dump(case),
        base: str = "",
        registry: str = "registry",
        environment: str = "cluster",
        log: str = "",
        push: str = "",
        as_of: str = "",
        runs: str = "runs",
        host: str = "",
    ) -> None:
        """Judge the last windows of the model in production; retrain or ask on a breach."""
        table = configure(ingestion(usecase=usecase, base=base))
        valid = configure(validation(usecase=usecase, table=table.outputs["table"]))
        given = {"usecase": usecase, "registry": registry}
        predicted = configure(prediction(table=valid.outputs["validated"], **given, **windows))
        watched = configure(
            monitoring(
                table=valid.outputs["validated"],
                predictions=predicted.outputs["predictions"],
                log=log,
                push=push,
                as_of=as_of,
                **given,
            )
        )
        with dsl.If(watched.outputs["Output"] == True, name="breached"):  # noqa: E712
            configure(
                remediation(
                    monitoring=watched.outputs["monitoring"],
                    base=base,
                    environment=environment,
                    runs=runs,
                    host=host,
                    **given,
                )
            )

    return pipeline


MAKERS: dict[str, Callable[[UseCase], Any]] = {
    "training": training_pipeline,
    "batch": batch_pipeline,
    "monitoring": monitoring_pipeline,
}


def pipelines() -> dict[str, Any]:
    """Return every pipeline of every use case, by the name of its compiled file."""
    cases = [load(path) for path in sorted(USECASES.glob("*.yaml"))]
    return {f"{case.name}_{kind}": make(case) for case in cases for kind, make in MAKERS.items()}


UsecaseFile = Annotated[Path, typer.Argument(help="Use case file.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for a field of the use case.")]
RegistryAddress = Annotated[str, typer.Option(help="Address of the model registry: a path, s3:// or gs://.")]
Out = Annotated[Path, typer.Option(help="Directory that the run directory goes in.")]
Log = Annotated[str, typer.Option(help=PARAMETERS["log"])]


@app.command()
def run(
    usecase: UsecaseFile,
    settings: Set = None,
    runner: Annotated[Runner, typer.Option(help="Subprocesses of this Python, or containers.")] = "subprocess",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
    push: submission.Push = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's record as JSON.")] = False,
) -> None:
    """Run the training pipeline on this machine."""
    case = load_with(usecase, settings or [])
    screen = Screen(sys.stderr if as_json else sys.stdout)
    request = Request(case, usecase, out, registry, runner, push)
    record = run_training(request, training_pipeline(case), screen)
    if as_json:
        typer.echo(pretty_json(record), nl=False)
    else:
        show(request, record, screen)


@app.command()
def predict(
    usecase: UsecaseFile,
    settings: Set = None,
    start: Annotated[str, typer.Option(help=PARAMETERS["start"])] = "",
    stop: Annotated[str, typer.Option(help=PARAMETERS["stop"])] = "",
    log: Log = "",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
) -> None:
    """Predict a span of the newest data on this machine by the model in production."""
    case, screen = load_with(usecase, settings or []), Screen()
    span = {"start": start, "stop": stop, "log": log}
    recurring.show(recurring.predict(Request(case, usecase, out, registry), batch_pipeline(case), span, screen), screen)


@app.command()
def monitor(
    usecase: UsecaseFile,
    settings: Set = None,
    log: Log = "",
    as_of: Annotated[str, typer.Option(help=PARAMETERS["as_of"])] = "",
    out: Out = Path("runs"),
    registry: RegistryAddress = "registry",
    push: submission.Push = "",
) -> None:
    """Judge the last windows on this machine, and act on a breach; exit code 3 where there is one."""
    case, screen = load_with(usecase, settings or []), Screen()
    request = Request(case, usecase, out, registry, push=push)
    found = recurring.monitor(request, monitoring_pipeline(case), {"log": log, "as_of": as_of}, screen)
    recurring.show(found, screen)
    if recurring.breached(found):
        raise typer.Exit(3)


@app.command(name="compile")
def compile_(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a file is stale.")] = False,
    out: Annotated[Path, typer.Option(help="Directory of the compiled files.")] = Path("compiled"),
) -> None:
    """Compile every use case's pipelines, and each component by itself."""
    files = compiled.compile_all(pipelines(), COMPONENTS)
    if check:
        compiled.check(files, out)
        typer.echo(f"{len(files)} compiled files are those of the code")
        return
    changed = compiled.write(files, out)
    for difference in changed:
        typer.echo(f"  {difference.path}")
    typer.echo(f"{len(changed)} of {len(files)} files written to {out}")


@app.command()
def submit(
    usecase: UsecaseFile,
    settings: Set = None,
    host: submission.Host = None,
    auth: submission.Method = "token",
    namespace: submission.Namespace = None,
    registry: RegistryAddress = "registry",
    push: submission.Push = "",
    root: submission.Root = None,
    wait: Annotated[bool, typer.Option(help="Wait for the run to end.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 6 * 3600,
    interval: Annotated[float, typer.Option(help="Seconds between two questions.")] = 5,
    fetch: Annotated[Path | None, typer.Option(help="Directory that the run's outputs are copied below.")] = None,
) -> None:
    """Upload the training pipeline to a cluster, run it, and fetch what it made."""
    if fetch and not (wait and root):
        raise PipelineError("--fetch needs --wait, and --pipeline-root, where the outputs are")
    case, screen = load_with(usecase, settings or []), Screen()
    check_facts(case)
    sent = submission.Submission(training_pipeline(case), case.name, submission.parameters(registry, push=push))
    cluster = Cluster(host, auth, namespace)
    run_id = submission.submit(cluster, sent, root, screen)
    if wait:
        submission.wait(cluster, run_id, timeout, interval, screen)
    if fetch and root:
        files = submission.fetch(root, sent.name, run_id, fetch / run_id)
        screen.line(f"{len(files)} files in {fetch / run_id}")


@app.command()
def schedule(
    usecase: Annotated[Path, typer.Argument(help="Use case file; its schedule says when.")],
    kind: Annotated[Literal["training", "monitoring"], typer.Option("--pipeline", help="What to run.")] = "training",
    host: submission.Host = None,
    auth: submission.Method = "token",
    namespace: submission.Namespace = None,
    registry: RegistryAddress = "registry",
    push: submission.Push = "",
    log: Log = "",
) -> None:
    """Make a pipeline's recurring run on a cluster follow the schedule of its use case."""
    if log and kind != "monitoring":
        raise PipelineError("--log is of the monitoring pipeline: give --pipeline monitoring with it")
    case = load(usecase)
    cron = {"training": case.schedule.retrain, "monitoring": case.schedule.monitor}[kind]
    sent = submission.Submission(MAKERS[kind](case), case.name, submission.parameters(registry, push=push, log=log))
    submission.schedule(Cluster(host, auth, namespace), sent, cron, Screen())


@app.command(name="schema")
def print_schema() -> None:
    """Print the JSON schema of a use case file."""
    typer.echo(pretty_json(schema()), nl=False)


def main() -> None:
    """Run the command line; an error of ours is a line on standard error and an exit code, not a traceback."""
    try:
        app()
    except AlmanacError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on from the last finished step", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
