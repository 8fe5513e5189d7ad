"""Answers of the audit checklist: each computed from artifacts, and `None` where these cannot answer."""

import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import date
from io import BytesIO
from typing import Any

from almanac.core.errors import AlmanacError
from almanac.evaluation.gate.check import SOUND
from almanac.evaluation.labels import TRAINING
from almanac.usecase.address import UNSTATED, is_placeholder
from governance.documents.artifacts import Artifacts
from governance.documents.kind import own_documents
from governance.documents.layout import FOLDER, REGISTRATION, USECASE
from governance.documents.statements import mandatory_statements, unstated
from governance.documents.usecase import is_trained_from
from governance.dsse import verify_signature
from governance.signing import PUBLIC_KEY, SIGNATURE, fingerprint

#: True: met; False: not met; None: the artifacts do not answer.
Answer = Callable[[Artifacts], bool | None]
Target = dict[str, Any]

MODEL = "model/manifest.json"
_BAND = "band"
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt")
#: First bytes of a pickle of protocol 2 to 5.
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


def all_targets(test: Callable[[Target], bool | None]) -> Answer:
    """Return the answer for all targets: not met if one is not, and unanswered if one cannot be answered."""
    return lambda artifacts: _all(test(target) for _, target in artifacts.targets())


def every_source(test: Callable[[Target], bool | None]) -> Answer:
    """Return the answer for all sources of the data."""
    return lambda artifacts: _all(test(source) for source in artifacts.value("lineage.json", "/sources"))


def _all(answers: Iterable[bool | None]) -> bool | None:
    known = list(answers)
    if False in known:
        return False
    # Of nothing, everything could be said.
    return None if None in known or not known else True


def beats_baselines(target: Target) -> bool | None:
    """Answer whether the interval of the skill against every baseline is above zero."""
    return _all(skill["ci"][0] > 0 if skill["ci"] else None for skill in target["skill"].values())


def has_intervals(target: Target) -> bool | None:
    """Answer whether every error that the documents print has an interval."""
    errors = ("log_loss", "brier") if target["task"] == "classification" else ("rmse", "mae")
    return all(target["ci"].get(error) for error in errors)


def covers(bands: bool) -> Answer:
    """Return the answer on the intervals' coverage, overall or by band, within the use case's tolerance.

    A band of few rows is held to what chance allows so many, as its gate was, and an excess that ties force does not
    count there either.
    """

    def test(artifacts: Artifacts) -> bool | None:
        rules = [rule for rule in artifacts.value(USECASE, "/gates") if rule["rule"] == "coverage"]
        tolerances = [rule["within"] for rule in rules if rule.get("within") is not None]
        # Without a tolerance in the use case there is no threshold to be met: no other one would be its own.
        if not tolerances:
            return None
        checks = (rule for rule in artifacts.value("gate.json", "/rules") if rule["rule"] == "coverage")
        judged = {(each["target"], each["evidence"]["group"]): each for each in checks if "evidence" in each}
        return _all(
            _within(covered, coverage["nominal"], min(tolerances), judged.get((name, group)))
            for name, target in artifacts.targets()
            if (coverage := target.get("coverage"))
            for group, covered in (coverage["bands"] if bands else {"overall": coverage["overall"]}).items()
            # A band in which no row lies has no coverage to judge.
            if covered is not None
        )

    return test


def _within(covered: float, nominal: float, tolerance: float, judged: dict[str, Any] | None) -> bool:
    """Return whether a coverage is within the tolerance, or within the bounds of its check in the gate."""
    forced, allowed = (judged["evidence"].get("forced", 0.0), judged["required"]) if judged else (0.0, 0.0)
    return nominal - max(tolerance, allowed) <= covered <= nominal + forced + max(tolerance, allowed)


def groups_declared(field: str) -> Answer:
    """Return the answer whether `slices` or `disparity` of every target has exactly the declared groups."""

    def test(artifacts: Artifacts) -> bool | None:
        declared = {_BAND, *(group["name"] for group in artifacts.value(USECASE, "/evaluation/groups"))}
        # A panel with new entities is divided by them, too, which no use case has to ask for.
        return _all(
            set(target[field]) - {TRAINING} == declared and (field != "slices" or _add_up(target))
            for _, target in artifacts.targets()
        )

    return test


def _add_up(target: Target) -> bool:
    """Return whether the rows of each grouping add up to all rows: a row in no group is one that nobody looks at."""
    return all(sum(part["n"] for part in parts.values()) == target["n"] for parts in target["slices"].values())


def rules_of_the_use_case(artifacts: Artifacts) -> bool | None:
    """Answer whether the rules of the model's own use case were evaluated, and no others but the gate's own."""
    declared = {rule["rule"] for rule in artifacts.value(USECASE, "/gates")}
    evaluated = {rule["rule"] for rule in artifacts.value("gate.json", "/rules")} - {SOUND}
    # Where every target is a probability, no interval is there to be judged.
    idle = set() if any(target.get("coverage") for _, target in artifacts.targets()) else {"coverage"}
    return same_use_case(artifacts) and bool(evaluated) and declared - idle <= evaluated <= declared


def same_use_case(artifacts: Artifacts) -> bool:
    """Answer whether the model was trained from the use case that is documented."""
    return is_trained_from(artifacts)


def registered(artifacts: Artifacts) -> bool | None:
    """Answer whether the registration names version, person and time."""
    event = artifacts.value(REGISTRATION, "/event")
    return artifacts.value(REGISTRATION, "/version") > 0 and bool(event["who"].strip() and event["when"].strip())


def approved(artifacts: Artifacts) -> bool | None:
    """Answer whether the version was approved: people approve these documents, so they can do so only afterwards."""
    return False if artifacts.value(REGISTRATION, "/approval") == "none" else None


def clean_revision(artifacts: Artifacts) -> bool | None:
    """Answer whether the code's revision is a commit without local changes; an unknown one is no answer."""
    revision = str(artifacts.value(MODEL, "/git_revision"))
    if revision.endswith("-dirty"):
        return False
    return True if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision) else None


def model_files_match(artifacts: Artifacts) -> bool | None:
    """Answer whether the model directory has exactly the files of its manifest, each with its digest."""
    files = artifacts.value(MODEL, "/files")
    present = {uri.removeprefix("model/") for uri in artifacts.files if uri.startswith("model/") and uri != MODEL}
    return present == set(files) and all(
        artifacts[f"model/{name}"].sha256 == entry["sha256"] for name, entry in files.items()
    )


def runs_no_code(artifacts: Artifacts) -> bool | None:
    """Answer whether no file of the model is a pickle, by name, by its first bytes, or inside a zip archive."""
    return not any(
        uri.endswith(_PICKLES) or _is_pickle(artifact.data)
        for uri, artifact in artifacts.files.items()
        if uri.startswith("model/")
    )


def _is_pickle(data: bytes) -> bool:
    if _PICKLE.match(data):
        return True
    if not zipfile.is_zipfile(BytesIO(data)):
        return False
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return any(name.endswith(_PICKLES) for name in archive.namelist())


def signed(artifacts: Artifacts) -> bool | None:
    """Answer whether the model's signature verifies under a key that the registry's policy pins.

    A signature by a key that nobody pinned proves nothing: whoever alters the model could have made it.
    """
    pinned = artifacts.value(REGISTRATION, "/signature").get("pinned")
    if not pinned:
        return None
    names = (f"{FOLDER}/{name}" for name in (SIGNATURE, PUBLIC_KEY))
    signature, public = (artifacts[name].path for name in names)
    if fingerprint(public.read_bytes()) not in pinned:
        return False
    try:
        verify_signature(artifacts[MODEL].path.parent, signature, public)
    except AlmanacError:
        return False
    return True


def statements_complete(artifacts: Artifacts) -> bool | None:
    """Answer whether each mandatory statement has text, author, and a date that is not after the registration."""
    statements = artifacts.value(USECASE, "/governance/statements")
    until = artifacts.value(REGISTRATION, "/event")["when"][:10]
    complete = {
        key
        for key, each in statements.items()
        if each.get("text", "").strip() and each.get("author", "").strip() and _dated(each.get("date"), until)
    }
    missing = unstated(artifacts.value(USECASE, "/governance"), own_documents())
    return not missing and complete == set(statements) | set(mandatory_statements(own_documents()))


def _dated(value: Any, until: str) -> bool:
    try:
        return date.fromisoformat(str(value)) <= date.fromisoformat(until)
    except ValueError:
        return False


def owner_and_contact(artifacts: Artifacts) -> bool | None:
    """Answer whether owner and contact are named; a placeholder of a template names nobody."""
    governance = artifacts.value(USECASE, "/governance")
    if governance["owner"] == UNSTATED or is_placeholder(governance["contact"]):
        return None
    return bool(governance["owner"].strip())


def licensed(source: dict[str, Any]) -> bool | None:
    """Answer whether a source has a licence."""
    licence = source["licence"].strip()
    return None if licence == UNSTATED else bool(licence)


def has_reference(artifacts: Artifacts) -> bool | None:
    """Answer whether every target's model has a reference for drift."""
    files = artifacts.value(MODEL, "/files")
    return all(f"{name}/reference.json" in files for name in artifacts.value(MODEL, "/targets"))


def way_back(artifacts: Artifacts) -> bool | None:
    """Answer whether an earlier version was in production when this one was registered."""
    return artifacts.value(REGISTRATION, "/previous/production") is not None
