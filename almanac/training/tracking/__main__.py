"""Write the Comet archive of a record: `python -m almanac.training.tracking DIRECTORY`."""

import sys
from pathlib import Path

from almanac.training.tracking.archive import write_archive

if __name__ == "__main__":
    write_archive(Path(sys.argv[1]))
