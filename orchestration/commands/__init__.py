"""The command line `almanac`.

Exit codes, the same for every command:

| code | meaning |
|---|---|
| 0 | done |
| 1 | an error, in one line on standard error |
| 2 | wrong usage: an unknown command or option |
| 3 | an answer that asks for action: the gate closed, the windows breach, the table has drifted |
| 4 | the cluster does not answer |
| 5 | the cluster refuses the token |
| 6 | the version's name belongs to another file on the cluster |
| 7 | the run on the cluster failed or did not end in time |
| 130 | interrupted |
"""

from orchestration.commands.app import main

__all__ = ["main"]
