"""Random changes, hashed anew by somebody who has the code and not the key, are all caught."""

import os

from almanac.core.files import read_json
from governance import signing
from tests.support.governance_tampering import tampered
from tests.support.governance_world import World, record_run
from tests.support.tampering import CHANGES

#: Two of each kind; more by the environment.
COUNT = int(os.environ.get("ALMANAC_TAMPERING", str(2 * len(CHANGES))))


def test_a_pinned_key_and_a_checkpoint_catch_every_change(complete: World) -> None:
    for name in ("report.html", "drift.html", "inferenceservice.yaml"):
        (complete.run / name).write_text("<p>As the run left it, 0123456789.</p>\n")
    record_run(complete.run, complete.registry)
    key = signing.signing_key()
    signing.sign_contents(complete.run, signing.RUN_SIGNATURE, key)
    outcome = tampered(complete.run, complete.registry, key, COUNT, seed=11)
    assert outcome["missed"] == []
    assert outcome["caught"] == outcome["changes"] == COUNT
    assert set(outcome["kinds"]) >= set(CHANGES)
    assert len(outcome["by"]) >= 4, "several checks caught something, and not one for all"
    assert read_json(complete.run / "run.json")["use_case"] == "air_quality"
