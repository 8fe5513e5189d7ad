"""Parameters of the pipelines in words: for the compiled files and for the options of the command line."""

PARAMETERS = {
    "overrides": "Changed fields of the use case as a YAML mapping, such as {training.budget.trials: 3}; none when "
    "empty.",
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
