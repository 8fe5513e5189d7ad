"""Tracking: a local JSON record and an offline Comet archive of every training, and a run on an MLflow server.

    almanac upload runs/demand/latest

Training never fails because of a tracker. It writes `record.json` and an archive, whose upload may fail without harm
and be tried again; a run that an MLflow server does not take is told in a warning.
"""

from almanac.training.tracking.archive import archive_in_background, finish
from almanac.training.tracking.mlflow_log import log_to_mlflow
from almanac.training.tracking.record import make_record

__all__ = ["archive_in_background", "finish", "log_to_mlflow", "make_record"]
