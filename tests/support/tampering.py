"""Changes that somebody makes to a run and its registry who has the code, and may write everywhere, but has no key.

A change is one of `CHANGES`. Afterwards the attacker hashes everything anew that hashes it: the model's manifests, the
version's blobs, manifests and events, the documents, which are rendered again from altered artifacts, their manifest,
and run.json. The signatures are left, removed, or replaced by ones of the attacker's own key.
"""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.files import canonical_json, pretty_json, read_json, sha256_file
from governance import signing
from governance.documents.artifacts import run_files
from governance.documents.bundle import manifest_digest, render_documents
from governance.documents.kind import documents
from governance.registry import Event, Registry, collect
from governance.registry.versions import put_files, read_manifest
from tests.support.forgery import rewrite
from tests.support.governance_world import record_run

Change = Callable[["Attack"], str]
#: Changes by name.
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    """Register a change by the name of its function; it returns what it altered."""
    CHANGES[function.__name__] = function
    return function


@dataclass
class Attack:
    """A copy of a run and of its registry, with what an attacker does to it.

    Attributes:
        run: the run directory.
        registry: the registry's directory.
        use_case: name of the use case.
        key: the attacker's own private key.
        chance: source of random choices.
        derived: whether documents are rendered again, as artifacts that they quote were altered.
        events: changes of the registry's events, None to drop one.
    """

    run: Path
    registry: Path
    use_case: str
    key: Path
    chance: random.Random
    derived: bool = False
    events: Callable[[Event], Event | None] = lambda event: event

    @property
    def folder(self) -> Path:
        """The governance directory."""
        return self.run / "governance"

    def edit(self, name: str, function: Callable[[Any], None], derived: bool = True) -> str:
        """Change a JSON file in place, in the form in which it was written."""
        path = self.run / name
        compact = path.read_bytes().count(b"\n") <= 1
        value = read_json(path)
        function(value)
        path.write_bytes(canonical_json(value) if compact else pretty_json(value).encode())
        self.derived |= derived
        return name

    def documents(self) -> list[Path]:
        """Return the Markdown documents."""
        return sorted(self.folder.glob("*.md"))

    def pick(self, mapping: dict[str, Any]) -> str:
        """Return one of the keys."""
        return self.chance.choice(sorted(mapping))

    def settle(self, signatures: str) -> None:
        """Hash everything anew.

        Args:
            signatures: `kept`, `removed`, or `own` for those of the attacker's key.
        """
        self._model()
        record = read_json(self.folder / "registration.json")
        if signatures == "own":
            signing.sign(self.run / "model", self.folder, self.key)
            public = signing.public_key(self.key)
            record["signature"] |= {"public_key": public.decode(), "fingerprint": signing.fingerprint(public)}
            self.derived = True
        record["model"] = sha256_file(self.run / "model" / "manifest.json")
        before, record = read_json(self.folder / "registration.json"), self._register(record)
        if record != before or self.derived:
            self._render(record)
        self._manifest()
        if signatures != "kept":
            for path in (self.folder / signing.DOCUMENTS_SIGNATURE, self.run / signing.RUN_SIGNATURE):
                path.unlink(missing_ok=True)
        if signatures == "own":
            signing.sign_contents(self.folder, signing.DOCUMENTS_SIGNATURE, self.key)
        self._attach()
        if (self.run / "run.json").exists():
            self._record()
        if signatures == "own":
            signing.sign_contents(self.run, signing.RUN_SIGNATURE, self.key)

    def _model(self) -> None:
        folder = self.run / "model"
        # Each target's manifest first, since the run's lists them.
        for path in sorted(folder.rglob("manifest.json"), key=lambda path: -len(path.parts)):
            manifest = read_json(path)
            for name, entry in manifest["files"].items():
                if (path.parent / name).exists():
                    entry["sha256"] = sha256_file(path.parent / name)
            path.write_text(pretty_json(manifest))

    def _register(self, record: dict[str, Any]) -> dict[str, Any]:
        """Store the version's files and rewrite its registration; return the registration that follows."""
        store = Registry(self.registry).store
        old = read_manifest(store, self.use_case, record["manifest"])
        extra = {key: value for key, value in old.items() if key not in ("format", "use_case", "files")}
        files = {name: path for name, path in run_files(self.run).items() if name in old["files"]}
        manifest = put_files(store, self.use_case, files, extra)

        def registered(event: Event) -> Event | None:
            kept = self.events(event)
            if kept is None or kept.version != record["version"]:
                return kept
            detail = {**kept.detail}
            if "manifest" in detail and kept.kind != "documented":
                detail["manifest"] = manifest
            if "model" in detail:
                detail["model"] = record["model"]
            return replace(kept, detail=detail)

        rewrite(self.registry, self.use_case, registered)
        event = next(
            event
            for event in events_of(self.registry, self.use_case)
            if (event.kind, event.version) == ("registered", record["version"])
        )
        # Person and time are left as the change made them, which would otherwise be undone here.
        told = {**record["event"], "number": event.number, "digest": event.digest}
        return {**record, "manifest": manifest, "event": told}

    def _render(self, record: dict[str, Any]) -> None:
        # The attacker keeps what was done to a document by hand only where nothing has to be rendered again.
        bundle = (self.folder / signing.SIGNATURE).read_text()
        told = {**record, "signature": {**record["signature"], "bundle": bundle}}
        usecase = (self.folder / "usecase.json").read_text()
        render_documents(run_files(self.run), usecase, told, self.folder, documents())

    def _manifest(self) -> None:
        path = self.folder / "manifest.json"
        manifest = read_json(path)
        for root, listed in ((self.folder, manifest["files"]), (self.run, manifest["artifacts"])):
            for name in list(listed):
                if (root / name).exists():
                    file = root / name
                    listed[name] = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
                else:
                    del listed[name]
        manifest["digest"] = manifest_digest(manifest)
        path.write_bytes(canonical_json(manifest) + b"\n")

    def _attach(self) -> None:
        """Store the documents, and make the events follow."""
        store, record = Registry(self.registry).store, read_json(self.folder / "registration.json")
        digest = put_files(store, self.use_case, collect(self.folder, "governance"), {"version": record["version"]})

        def documented(event: Event) -> Event:
            detail = {**event.detail}
            if event.version == record["version"]:
                if event.kind == "documented":
                    detail["manifest"] = digest
                elif detail.get("documents"):
                    detail["documents"] = digest
            return replace(event, detail=detail)

        rewrite(self.registry, self.use_case, documented)

    def _record(self) -> None:
        record = read_json(self.run / "run.json")
        record_run(self.run)
        record["artifacts"] = read_json(self.run / "run.json")["artifacts"]
        (self.run / "run.json").write_text(pretty_json(record))


def events_of(registry: Path, use_case: str) -> list[Event]:
    """Return the events as they are stored, whether or not they keep the rules."""
    events = []
    for path in sorted((registry / "use_cases" / use_case / "events").iterdir()):
        values = json.loads(path.read_bytes())
        values.pop("digest")
        events.append(Event(**values))
    return events


def _target(attack: Attack, metrics: Any) -> Any:
    return metrics["targets"][attack.pick(metrics["targets"])]


@change
def word(attack: Attack) -> str:
    path = attack.chance.choice(attack.documents())
    text = path.read_text()
    found = attack.chance.choice(list(re.finditer(r"\b[a-z]{4,}\b", text)))
    path.write_text(text[: found.start()] + "indeed" + text[found.end() :])
    return path.name


@change
def digit(attack: Attack) -> str:
    files = [path for path in attack.folder.iterdir() if path.suffix in (".md", ".json", ".html")]
    path = attack.chance.choice(sorted(files))
    text = path.read_text()
    place = attack.chance.choice([match.start() for match in re.finditer(r"\d", text)])
    path.write_text(text[:place] + str((int(text[place]) + attack.chance.randint(1, 9)) % 10) + text[place + 1 :])
    return path.name


@change
def section(attack: Attack) -> str:
    path = attack.chance.choice(attack.documents())
    parts = re.split(r"(?m)^(?=## )", path.read_text())
    one, other = sorted(attack.chance.sample(range(1, len(parts)), 2))
    parts[one], parts[other] = parts[other], parts[one]
    path.write_text("".join(parts))
    return path.name


@change
def page(attack: Attack) -> str:
    path = attack.folder / "index.html"
    text = path.read_text()
    found = attack.chance.choice(list(re.finditer(r">([^<>{}]{6,})<", text)))
    path.write_text(text[: found.start(1)] + "as expected" + text[found.end(1) :])
    return path.name


@change
def plot(attack: Attack) -> str:
    path = attack.folder / "index.html"
    text = path.read_text()
    found = attack.chance.choice(list(re.finditer(r"\b[ML] (\d+)", text)))
    path.write_text(text[: found.start(1)] + str(int(found[1]) + 7) + text[found.end(1) :])
    return path.name


@change
def figure(attack: Attack) -> str:
    def better(metrics: Any) -> None:
        entry = _target(attack, metrics)
        name = attack.chance.choice(["rmse", "mae", "bias", "r2"])
        entry[name] *= 0.9

    return attack.edit("metrics.json", better)


@change
def interval(attack: Attack) -> str:
    def narrower(metrics: Any) -> None:
        entry = _target(attack, metrics)
        entry["ci"][attack.chance.choice(["rmse", "mae"])][1] *= 0.99

    return attack.edit("metrics.json", narrower)


@change
def group(attack: Attack) -> str:
    def without(metrics: Any) -> None:
        entry = _target(attack, metrics)
        name = attack.pick(entry["slices"])
        del entry["slices"][name][attack.pick(entry["slices"][name])]

    return attack.edit("metrics.json", without)


@change
def grouping(attack: Attack) -> str:
    def without(metrics: Any) -> None:
        entry = _target(attack, metrics)
        name = attack.pick({key: True for key in entry["slices"] if key != "band"})
        del entry["slices"][name], entry["disparity"][name]

    return attack.edit("metrics.json", without)


@change
def prediction(attack: Attack) -> str:
    path = attack.run / "predictions.parquet"
    table = pl.read_parquet(path)
    row, name = attack.chance.randrange(table.height), attack.chance.choice(["prediction", "y", "lower", "last"])
    nudged = pl.when(pl.int_range(pl.len()) == row).then(pl.col(name) + 1.0).otherwise(pl.col(name))
    table.with_columns(nudged.alias(name)).write_parquet(path)
    attack.derived = True
    return path.name


@change
def decision(attack: Attack) -> str:
    def laxer(gate: Any) -> None:
        rule = attack.chance.choice(gate["rules"])
        rule["message"] = f"{rule['message']}, as required"

    return attack.edit("gate.json", laxer)


@change
def answer(attack: Attack) -> str:
    def met(computed: Any) -> None:
        check = attack.chance.choice(computed["checklist"]["checks"])
        check.update(met=not check["met"], answer="met" if not check["met"] else "not met")

    return attack.edit("governance/computed.json", met, derived=False)


@change
def risk(attack: Attack) -> str:
    return attack.edit("governance/computed.json", lambda computed: computed["risk"].update(score=1), derived=False)


@change
def statement(attack: Attack) -> str:
    def other(usecase: Any) -> None:
        statements = usecase["governance"]["statements"]
        field = attack.chance.choice(["text", "author", "date"])
        statements[attack.pick(statements)][field] = {"text": "No harm.", "author": "Eve", "date": "2025-01-01"}[field]

    return attack.edit("governance/usecase.json", other)


@change
def threshold(attack: Attack) -> str:
    return attack.edit("governance/usecase.json", lambda usecase: usecase["evaluation"].update(repeats=9))


@change
def source(attack: Attack) -> str:
    def other(lineage: Any) -> None:
        field = attack.chance.choice(["licence", "fetched_at", "url", "title"])
        lineage["sources"][0][field] = "2026-01-01T00:00:00Z" if field == "fetched_at" else "https://other.example"

    return attack.edit("lineage.json", other)


@change
def training(attack: Attack) -> str:
    def other(tuning: Any) -> None:
        _target(attack, tuning)["rows_trained"] += attack.chance.randint(1, 99)

    return attack.edit("tuning.json", other)


@change
def analysis(attack: Attack) -> str:
    def other(evaluation: Any) -> None:
        _target(attack, evaluation)["weeks"][0]["rmse"] *= 0.5

    return attack.edit("evaluation.json", other)


@change
def model(attack: Attack) -> str:
    path = attack.chance.choice(sorted((attack.run / "model").rglob("model.bst")))
    text = path.read_text()
    found = attack.chance.choice(list(re.finditer(r"leaf_value=\S*?(\d)", text)))
    path.write_text(f"{text[: found.start(1)]}{(int(found[1]) + 3) % 10}{text[found.end(1) :]}")
    attack.derived = True
    return path.name


@change
def features(attack: Attack) -> str:
    path = attack.chance.choice(sorted((attack.run / "model").rglob("signature.json")))
    path.write_text(path.read_text().replace('"unit"', '"Unit"', 1))
    attack.derived = True
    return path.name


@change
def key(attack: Attack) -> str:
    path = attack.folder / "model.pub"
    path.write_bytes(signing.public_key(attack.key))
    return path.name


@change
def date(attack: Attack) -> str:
    def other(record: Any) -> None:
        record["event"]["when"] = "2026-01-01T00:00:00.000Z"

    return attack.edit("governance/registration.json", other)


@change
def registration(attack: Attack) -> str:
    def other(record: Any) -> None:
        record.update(attack.chance.choice([{"approval": "required"}, {"address": "registry:other/1"}]))

    return attack.edit("governance/registration.json", other)


@change
def event(attack: Attack) -> str:
    chosen = attack.chance.choice(events_of(attack.registry, attack.use_case))
    field = attack.chance.choice(["who", "why", "when"])
    other = {"who": "eve", "why": "all is well", "when": chosen.when.replace("20", "19", 1)}
    changed: Any = {field: other[field]}
    attack.events = lambda event: replace(event, **changed) if event.id == chosen.id else event
    return f"event {chosen.number}, {field}"


@change
def removed_event(attack: Attack) -> str:
    last = events_of(attack.registry, attack.use_case)[-1]
    attack.events = lambda event: None if event.id == last.id else event
    return f"event {last.number}"


@change
def record(attack: Attack) -> str:
    def other(run: Any) -> None:
        name = attack.chance.choice(["started_at", "git_revision", "use_case_digest", "registry"])
        run[name] = "2026-01-01T00:00:00+00:00"

    return attack.edit("run.json", other, derived=False)


@change
def beside(attack: Attack) -> str:
    """A file of the run that no version holds: reports, drift, manifests."""
    names = ("report.html", "drift.html", "drift.json", "inferenceservice.yaml", "validation.html")
    path = attack.run / attack.chance.choice([name for name in names if (attack.run / name).exists()])
    data = bytearray(path.read_bytes())
    place = attack.chance.randrange(len(data))
    data[place] = attack.chance.choice([byte for byte in b"0123456789abcdef" if byte != data[place]])
    path.write_bytes(bytes(data))
    return path.name


@change
def additional(attack: Attack) -> str:
    folder = attack.chance.choice([attack.run, attack.folder, attack.run / "model"])
    (folder / "notes.txt").write_text("as agreed\n")
    return f"{folder.name}/notes.txt"


@change
def missing(attack: Attack) -> str:
    path = attack.chance.choice([*attack.documents(), attack.run / "evaluation.json", attack.folder / "model.sig"])
    path.unlink()
    return path.name


@change
def byte(attack: Attack) -> str:
    """Any byte of any file."""
    files = [path for path in attack.run.rglob("*") if path.is_file()]
    path = attack.chance.choice(sorted(files))
    data = bytearray(path.read_bytes())
    place = attack.chance.randrange(len(data))
    data[place] ^= 1 << attack.chance.randrange(8)
    path.write_bytes(bytes(data))
    return path.relative_to(attack.run).as_posix()
