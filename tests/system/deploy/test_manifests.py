"""A real server, started as the rendered objects say."""

from serving.deploy.manifests import render
from tests.contract.deploy.test_manifests import DEPLOYMENT
from tests.support.server import Start


def test_the_server_answers_under_the_name_and_version_of_its_inferenceservice(start: Start) -> None:
    """The container's arguments and the predictor's environment, as KServe passes them."""
    kinds = {manifest["kind"]: manifest for manifest in render(DEPLOYMENT)}
    predictor = kinds["InferenceService"]["spec"]["predictor"]["model"]
    given = [argument.replace("{{.Name}}", kinds["InferenceService"]["metadata"]["name"]) for argument in
             kinds["ServingRuntime"]["spec"]["containers"][0]["args"]]  # fmt: skip
    own = ("--model_dir", "--host", "--http_port", "--grpc_port", "--auth", "--keys")  # this machine's are other ones
    kept = [argument for argument in given if not argument.startswith(own)]
    assert kept == ["--model_name=air-quality"]
    environment = {entry["name"]: entry["value"] for entry in predictor["env"]}
    server = start(*kept, environment=environment)
    for path in ("/v2/models/air-quality", "/v2/models/air-quality/ready", "/v1/models/air-quality"):
        assert server.get(path).status == 200, path
    assert "air-quality" in server.get("/v1/models").json["models"]
    names = [item["name"] for item in server.get("/v2/models/air-quality").json["inputs"]]
    answer = server.post("/v1/models/air-quality:predict", {"instances": [dict.fromkeys(names, 1.0)]})
    assert answer.status == 200, answer.body
    assert answer.json["model_version"] == "3"
    assert answer.json["model_name"] == "air-quality"
    assert set(answer.json["predictions"][0]) == {"pm25_1h", "pm25_6h"}
