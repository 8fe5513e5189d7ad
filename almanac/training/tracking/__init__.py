"""Tracking: a local JSON record and an offline Comet archive of every training, uploaded by a command of its own.

    almanac upload runs/demand/latest

Training never waits for a tracking server. It writes `record.json` and an archive; the upload may fail without harm,
and be tried again.
"""

from almanac.training.tracking.archive import archive_in_background, finish
from almanac.training.tracking.record import make_record

__all__ = ["archive_in_background", "finish", "make_record"]
