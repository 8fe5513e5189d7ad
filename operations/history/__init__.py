"""The history: a database view of runs, versions, windows, alarms, plans, actions and requests.

The registry's events, the run directories, the journal and the prediction log are the truth. The history is made from
them by `rebuild`, follows them by `update`, may be deleted at any time, and holds nothing that cannot be made again.
"""

from operations.history.address import default_url
from operations.history.database import migrate, open_history, run_count, use_cases
from operations.history.export import digest, export
from operations.history.rebuild import Origins, rebuild, update

__all__ = [
    "Origins",
    "default_url",
    "digest",
    "export",
    "migrate",
    "open_history",
    "rebuild",
    "run_count",
    "update",
    "use_cases",
]
