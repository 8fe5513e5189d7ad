"""Commands that deploy the version in production: render its objects, let kustomize overlay them, apply them."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from kubernetes import client

from almanac.core.errors import DeploymentError
from almanac.model.model import Model
from almanac.usecase import load
from governance.registry import resolve
from orchestration.canary import Trial, deploy_by_canary, running_service
from orchestration.client_key import RING_SECRET, make_client_key
from orchestration.commands.options import Push, UseCaseFile, command_app, example
from serving.deploy.apply import Check, apply_and_wait, connect
from serving.deploy.ask import ask
from serving.deploy.canary import Mode
from serving.deploy.delete import delete_all
from serving.deploy.helm import CHART
from serving.deploy.helm import write as write_chart
from serving.deploy.kube import Kube
from serving.deploy.kustomize.layout import BASE, objects, write
from serving.deploy.manifests import VERSION, to_yaml
from serving.deploy.model_image import write_model_image
from serving.deploy.prerequisites import look
from serving.deploy.prerequisites import objects as prerequisites
from serving.deploy.production import write_canary, write_manifest, write_values
from serving.deploy.reach import KEY_SECRET, require_way, way_to
from serving.deploy.smoke import PATIENCE, forecasters, smoke

app = command_app(
    help="Deploy the version in production, in steps between which kustomize adds an overlay.",
    epilog=example("almanac deploy render usecases/demand.yaml s3://models build/production.yaml"),
)

_Namespace = Annotated[str, typer.Option(help="The namespace.")]
_Registry = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="Address of the model registry.", show_default=False)
]


def _smoke_test(api: client.ApiClient, url: str, key: str | None, patience: float, models: list[Model]) -> Check:
    """Return the test that a service answers as the models do."""

    def check(applied: dict[str, Any]) -> None:
        with way_to(api, applied, url) as (address, transport):
            smoke(address, models, key, patience, transport=transport)

    return check


@app.command(epilog=example("almanac deploy render usecases/demand.yaml s3://models build/production.yaml"))
def render(
    usecase: UseCaseFile,
    registry: _Registry,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)],
    version: Annotated[str, typer.Option(help="The version's number, stage or alias.")] = "production",
    canary: Annotated[
        str | None,
        typer.Option(metavar="VERSION=PERCENT", help="A new version beside it, with a percentage of KServe's traffic."),
    ] = None,
    mode: Annotated[Mode, typer.Option(help="Mode of KServe that divides the traffic.")] = "Standard",
) -> None:
    """Write the objects of the version in production or another one, with a canary if one is given."""
    if canary is None:
        write_manifest(load(usecase), registry, out, version)
    else:
        write_canary(load(usecase), registry, out, canary, mode)


@app.command("image", epilog=example("almanac deploy image usecases/demand.yaml s3://models build/image"))
def model_image(
    usecase: UseCaseFile,
    registry: _Registry,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory to write.", show_default=False)],
    version: Annotated[str, typer.Option(help="The version's number, stage or alias.")] = "production",
) -> None:
    """Write the build directory of a version's image, for `serving.loading: oci://REPOSITORY`."""
    name = write_model_image(load(usecase), registry, out, version)
    typer.echo(f"docker build -t {name} {out} && docker push {name}")


@app.command(epilog=example("almanac deploy base --manifest build/production.yaml --out build/base"))
def base(
    manifest: Annotated[
        Path | None, typer.Option(help="inferenceservice.yaml of a run; the committed base by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of the base.", show_default=False)] = BASE,
) -> None:
    """Write the kustomize base."""
    for path in write(_read(manifest) if manifest else objects(), out):
        typer.echo(str(path))


@app.command(epilog=example("almanac deploy chart --out deploy/helm/almanac"))
def chart(
    out: Annotated[Path, typer.Option(help="Directory of the chart.", show_default=False)] = CHART,
) -> None:
    """Write the Helm chart."""
    for path in write_chart(out):
        typer.echo(str(path))


@app.command(epilog=example("almanac deploy values usecases/demand.yaml s3://models build/version.yaml"))
def values(
    usecase: UseCaseFile,
    registry: _Registry,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.", show_default=False)],
) -> None:
    """Write the Helm chart's values for the version in production."""
    write_values(load(usecase), registry, out)


@app.command(epilog=example("almanac deploy apply usecases/demand.yaml s3://models build/objects.yaml"))
def apply(
    usecase: UseCaseFile,
    registry: _Registry,
    manifest: Annotated[Path, typer.Argument(metavar="OBJECTS", help="Objects to apply.", show_default=False)],
    timeout: Annotated[float, typer.Option(help="Seconds in which the service must be ready.")] = 600,
    patience: Annotated[float, typer.Option(help="Seconds in which it must then answer.")] = PATIENCE,
    url: Annotated[
        str,
        typer.Option(
            envvar="ALMANAC_URL",
            help="Address to test the service at, or port-forward; through the API server when empty.",
        ),
    ] = "",
    push: Push = "",
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Deploy a version that was rejected.")
    ] = False,
    canary: Annotated[
        int | None,
        typer.Option(metavar="PERCENT", help="Give the version this share of the requests until its canary is judged."),
    ] = None,
    verdict: Annotated[float, typer.Option(help="Seconds in which a canary must be judged.")] = 86400,
) -> None:
    """Apply objects on the cluster of KUBECONFIG, wait, test the service, and roll back if that fails.

    The key for the test's requests is ALMANAC_API_KEY, or else that of the namespace's secret almanac-client-key. With
    `--canary` every server divides its requests and compares both versions; the verdict promotes the new one and rolls
    it out, or gives the running one all requests back and ends with exit code 3.
    """
    case, items = load(usecase), _read(manifest)
    service = next((item for item in items if item["kind"] == "InferenceService"), None)
    if service is None:
        raise DeploymentError(f"{manifest}: holds no InferenceService")
    version = service["metadata"]["annotations"][VERSION]

    def models_of(number: str) -> list[Model]:
        return forecasters(resolve(f"registry:{case.name}/{number}", registry, allow_rejected=allow_rejected))

    # Read before a cluster is asked: without the registered model there is no test, and a rejected one is refused.
    models = models_of(version)
    api, namespace = connect(), service["metadata"]["namespace"]
    check_of = partial(_smoke_test, api, url, require_way(Kube(api), namespace, url), patience)
    if canary is None:
        apply_and_wait(items, api, timeout, check=check_of(models))
    else:
        running = running_service(Kube(api), items)["metadata"]["annotations"][VERSION]
        checks = check_of(models_of(running)), check_of(models)
        deploy_by_canary(case, registry, items, api, Trial(canary, verdict, timeout), checks, typer.echo)
    if push:
        # Imported here: the libraries of statistics take a second in which a rollout could have begun.
        from monitoring.operations.model_samples import try_push_version

        try_push_version(case, version, registry, push, case.now())
    typer.echo(f"version {version} is ready in {namespace} and answers as its models do")


@app.command(epilog=example("almanac deploy predict usecases/demand.yaml s3://models --namespace demand"))
def predict(
    usecase: UseCaseFile,
    registry: _Registry,
    namespace: _Namespace,
    target: Annotated[str, typer.Option(help="Target to forecast; the first one when empty.")] = "",
    body: Annotated[
        Path | None, typer.Option(help="File with the request of KServe's V1 protocol; two known rows by default.")
    ] = None,
    url: Annotated[
        str,
        typer.Option(envvar="ALMANAC_URL", help="Address to ask, or port-forward; through the API server when empty."),
    ] = "",
) -> None:
    """Ask the service on the cluster of KUBECONFIG for forecasts, and print its answer."""
    case = load(usecase)
    models = {model.name: model for model in forecasters(resolve(f"registry:{case.name}/production", registry))}
    named = target or case.targets[0].name
    if named not in models:
        raise DeploymentError(f"--target {named}: the version in production has {', '.join(models)}")
    typer.echo(ask(connect(), case.name, namespace, models[named], body, url))


@app.command(epilog=example("almanac deploy keys --namespace demand"))
def keys(namespace: _Namespace) -> None:
    """Make the secrets of API keys in a namespace that has none: the servers' key file, and a key for deployments."""
    made = make_client_key(Kube(connect()), namespace)
    typer.echo(f"secret {KEY_SECRET}: {'made' if made else 'there'}; its key is in the servers' secret {RING_SECRET}")


@app.command(epilog=example("almanac deploy delete usecases/demand.yaml --namespace demand"))
def delete(usecase: UseCaseFile, namespace: _Namespace) -> None:
    """Delete all objects of a use case on the cluster of KUBECONFIG; the namespace's set-up stays."""
    for name in delete_all(Kube(connect()), load(usecase).name, namespace):
        typer.echo(f"deleted {name}")


@app.command(epilog=example("almanac deploy setup --namespace demand --registry s3://models | kubectl apply -f -"))
def setup(
    namespace: _Namespace,
    registry: Annotated[str, typer.Option(help="Address of the model registry: s3://, gs:// or a path.")],
    predictions: Annotated[str, typer.Option(help="Address of the prediction log; none when empty.")] = "",
    account: Annotated[
        str, typer.Option(help="Service account of the pipelines, as NAME or NAMESPACE/NAME.")
    ] = "default-editor",
) -> None:
    """Print the objects that a namespace needs once: config map, rights, volume claim; no secrets."""
    typer.echo(to_yaml(prerequisites(namespace, registry, predictions, account)), nl=False)


@app.command(epilog=example("almanac deploy check --namespace demand"))
def check(namespace: _Namespace) -> None:
    """Check that the namespace on the cluster of KUBECONFIG meets a deployment's requirements; exit code 1 if not."""
    findings = list(look(Kube(connect()), namespace))
    for finding in findings:
        typer.echo(f"{finding.state:<9} {finding.name:<40} {finding.remedy}".rstrip())
    if missing := [finding.name for finding in findings if finding.state == "missing"]:
        raise DeploymentError(f"{namespace}: missing: {', '.join(missing)}")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        items = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, yaml.YAMLError) as error:
        raise DeploymentError(f"{path}: cannot be read as YAML ({error})") from error
    if not items or not all(isinstance(item, dict) and "kind" in item for item in items):
        raise DeploymentError(f"{path}: holds no Kubernetes objects; expected inferenceservice.yaml of a run")
    return items
