"""A document of a package of its own is written, required for promotion and verified without a change to Almanac."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import DocumentError, RegistryError
from almanac.core.files import canonical_json, pretty_json, read_json, sha256_file
from almanac.usecase import UseCase, dump, load_text
from governance.documentation import document
from governance.documents.bundle import manifest_digest
from governance.registration import register
from governance.registry import Registry
from governance.verify import verify
from tests.support import extension
from tests.support.bundles import document_files, version_files
from tests.support.governance_world import ROOT, artifacts_of, signer, trained, usecase
from tests.support.real_run import make_run

__all__ = ["signer", "trained", "usecase"]

TEMPLATE = """{% import "_macros.j2" as macros with context %}
# Fairness report: {{ usecase.title }}

{{ macros.say("fairness_review") }}
Groups: {{ facts.fairness.groups | count }}.
"""
ENTRY_POINTS = "[almanac.documents]\nfairness_report = our_package.fairness_report:KIND\n"
#: Registers and documents a run, and prints what the registry then knows of it, and the steps of a verification.
RUN = """
import json, sys
from pathlib import Path
from almanac.usecase import load_text
from governance.documentation import document
from governance.registration import register
from governance.verify import verify
from tests.support.governance_world import artifacts_of
run, registry = Path(sys.argv[1]), sys.argv[2]
usecase = load_text(Path(sys.argv[3]).read_text(), "usecase")
register(usecase, artifacts_of(run), registry, "local", run / "registration.json")
version = document(usecase, artifacts_of(run), run / "registration.json", registry, run / "governance")
steps = {step.name: [step.count, step.note] for step in verify(run, registry)}
print(json.dumps({"stage": version.stage, "requires": version.requires, "steps": steps}))
"""
VERIFY = """
import json, sys
from pathlib import Path
from governance.verify import verify
print(json.dumps({step.name: [step.count, step.note] for step in verify(Path(sys.argv[1]), sys.argv[2])}))
"""
#: Registers a version of the smallest files, as a team with the package installed would.
REGISTER = """
import sys
from pathlib import Path
from governance.registry import Registry
from tests.support.bundles import version_files
Registry(sys.argv[1]).register("demo", version_files(Path(sys.argv[2]), "a"), who="ann", why="go", approval="none")
"""
KINDS = "from governance.documents.kind import documents; print([each.file for each in documents()])"


def example() -> str:
    """Return the document kind that GOVERNANCE.md shows."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "GOVERNANCE.md").read_text(), re.S)
    assert found is not None
    return found[1]


def install(directory: Path, code: str, template: str = TEMPLATE) -> Path:
    """Install a package with one document."""
    extension.install(directory, "our_package", "", ENTRY_POINTS)
    package = directory / "our_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "fairness_report.py").write_text(code)
    (package / "fairness_report.md.j2").write_text(template)
    return directory


def said(directory: Path, script: str, *arguments: object) -> str:
    done = extension.run(directory, script, *map(str, arguments))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def extended(usecase: UseCase) -> UseCase:
    """The reference use case with the statement that the further document asks for."""
    case = json.loads(dump(usecase))
    statement = {"text": "Nobody is treated differently.", "author": "ann", "date": "2026-11-01"}
    case["governance"]["statements"]["fairness_review"] = statement
    return load_text(json.dumps(case), "case")


@pytest.fixture(scope="module")
def documented(
    extended: UseCase, beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, Any]]:
    """A run that was documented with the package, its registry, and what that process knew of it."""
    folder = tmp_path_factory.mktemp("extension")
    run = make_run(extended, beijing, folder / "run", ("pm25_1h",))
    (folder / "usecase.json").write_text(dump(extended))
    packages = install(folder / "packages", example())
    told = said(packages, RUN, run, folder / "registry", folder / "usecase.json").splitlines()[-1]
    return run, folder / "registry", json.loads(told)


class TestRequiredDocument:
    def test_it_is_written_recorded_with_the_version_and_verified(
        self, documented: tuple[Path, Path, dict[str, Any]]
    ) -> None:
        run, registry, told = documented
        assert told["stage"] == "production"
        assert told["requires"]["fairness_report.md"] == "our_package 1.0"
        assert told["steps"]["document kinds"] == [7, ""]
        assert told["steps"]["documents"] == [17, ""]
        text = (run / "governance" / "fairness_report.md").read_text()
        assert "> Nobody is treated differently." in text
        groups = read_json(run / "governance" / "usecase.json")["evaluation"]["groups"]
        assert f"Groups: {len(groups)}." in text
        assert '<section id="fairness-report">' in (run / "governance" / "index.html").read_text()
        assert Registry(registry).log("air_quality")[1].detail["requires"] == told["requires"]

    def test_it_verifies_elsewhere_and_the_package_is_named(
        self, documented: tuple[Path, Path, dict[str, Any]]
    ) -> None:
        run, registry, _ = documented
        steps = {step.name: step for step in verify(run, str(registry))}
        assert steps["document kinds"].count == 0
        assert steps["document kinds"].note.endswith("fairness_report.md needs our_package 1.0")
        assert steps["documents"].count == 13
        assert "without their packages: fairness_report.md, index.html" in steps["documents"].note
        assert Registry(registry).verify("air_quality").stages() == {"production": 1}

    def test_elsewhere_a_forged_fact_of_almanacs_own_is_found(
        self, documented: tuple[Path, Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        run = shutil.copytree(documented[0], tmp_path / "run")
        folder = run / "governance"
        computed = read_json(folder / "computed.json")
        computed["risk"]["legal_reason"] = "none at all"
        (folder / "computed.json").write_text(pretty_json(computed))
        text = (folder / "references.json").read_text()
        before, after = (sha256_file(each / "governance" / "computed.json") for each in (documented[0], run))
        (folder / "references.json").write_text(text.replace(before, after))
        manifest = read_json(folder / "manifest.json")
        manifest["files"] |= {
            name: {"sha256": sha256_file(folder / name)} for name in ("computed.json", "references.json")
        }
        (folder / "manifest.json").write_bytes(canonical_json(manifest | {"digest": manifest_digest(manifest)}) + b"\n")
        with pytest.raises(DocumentError, match=r"computed\.json"):
            verify(run)

    def test_a_bundle_without_it_verifies_where_the_package_is_installed(
        self, usecase: UseCase, trained: Path, tmp_path: Path
    ) -> None:
        run, url = shutil.copytree(trained, tmp_path / "run"), str(tmp_path / "registry")
        files = artifacts_of(run)
        register(usecase, files, url, "local", run / "registration.json")
        document(usecase, files, run / "registration.json", url, run / "governance")
        steps = json.loads(said(install(tmp_path / "packages", example()), VERIFY, run, url))
        assert (steps["document kinds"], steps["documents"]) == ([6, ""], [16, ""])

    def test_a_registry_elsewhere_refuses_documents_without_it(self, tmp_path: Path) -> None:
        said(install(tmp_path / "packages", example()), REGISTER, tmp_path / "registry", tmp_path / "there")
        registry = Registry(tmp_path / "registry")
        files = version_files(tmp_path / "here", "a")
        documents = document_files(tmp_path / "here" / "a", files)
        message = r"without fairness_report\.md; install our_package 1\.0 where the documents are written"
        with pytest.raises(RegistryError, match=message):
            registry.attach_documents("demo", 1, documents, who="ann", why="written here")
        with pytest.raises(RegistryError, match="no governance documents"):
            registry.promote("demo", 1, who="ann", why="go")

    def test_documents_written_elsewhere_name_what_the_use_case_needs(
        self, extended: UseCase, documented: tuple[Path, Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        files, record = artifacts_of(documented[0]), tmp_path / "registration.json"
        register(extended, files, str(tmp_path / "registry"), "local", record)
        with pytest.raises(DocumentError, match=r"statements\.fairness_review: unknown; .*install that package here"):
            document(extended, files, record, str(tmp_path / "registry"), tmp_path / "governance")


def test_a_document_that_is_not_required_holds_up_no_promotion(tmp_path: Path) -> None:
    code = example().replace("required=True", "required=False")
    packages = install(tmp_path / "packages", code)
    assert "fairness_report.md" in said(packages, KINDS)
    said(packages, REGISTER, tmp_path / "registry", tmp_path / "there")
    registry = Registry(tmp_path / "registry")
    requires = registry.version("demo", 1).requires
    assert requires is not None
    assert "fairness_report.md" not in requires
    documents = document_files(tmp_path / "there" / "a", version_files(tmp_path / "here", "a"))
    registry.attach_documents("demo", 1, documents, who="ann", why="written here")
    assert registry.promote("demo", 1, who="ann", why="go")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "raise RuntimeError('no licence')",
            "document 'fairness_report' of the package our_package .* cannot be loaded: .*no licence",
        ),
        (
            example().replace('name="fairness_report"', 'name="model_card"'),
            r"model_card\.md\.j2: missing; it is the template",
        ),
        (example().replace('name="fairness_report"', 'name="Fairness"'), "expected a name of lower-case letters"),
    ],
    ids=["import", "template", "name"],
)
def test_a_broken_package_is_named(tmp_path: Path, code: str, message: str) -> None:
    done = extension.run(install(tmp_path, code), KINDS)
    assert done.returncode != 0
    assert re.search(message, done.stderr)


def test_a_second_document_of_one_name_is_refused(tmp_path: Path) -> None:
    packages = install(tmp_path, example().replace('name="fairness_report"', 'name="model_card"'))
    (packages / "our_package" / "fairness_report.md.j2").rename(packages / "our_package" / "model_card.md.j2")
    done = extension.run(packages, KINDS)
    assert "document 'model_card' is registered twice: by governance.documents.kinds.model_card and by" in done.stderr
    assert "our_package" in done.stderr


#: Writes the documents of a run that is registered already.
WRITE = """
import sys
from pathlib import Path
from almanac.core.files import canonical_json, pretty_json, read_json, sha256_file
from governance.documents.bundle import write_documents
from tests.support.governance_world import artifacts_of
run = Path(sys.argv[1])
usecase = (run / "governance" / "usecase.json").read_text()
write_documents(artifacts_of(run), usecase, read_json(run / "registration.json"), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("code", "template", "message"),
    [
        (
            example().replace('"fairness": {', '"risk": {'),
            TEMPLATE,
            r"fairness_report\.md: another document computes 'risk' too",
        ),
        (
            example(),
            "# Report\n\nThree of 4 groups.\n",
            r"fairness_report\.md: line 3: '4' is no reference to an artifact",
        ),
        (example(), "{{ fairness.groups }}", r"fairness_report\.md\.j2: cannot be rendered: 'fairness' is undefined"),
    ],
    ids=["fact", "number", "name"],
)
def test_a_document_that_breaks_a_rule_is_named(
    documented: tuple[Path, Path, dict[str, Any]], tmp_path: Path, code: str, template: str, message: str
) -> None:
    done = extension.run(install(tmp_path / "packages", code, template), WRITE, str(documented[0]), str(tmp_path / "g"))
    assert re.search(message, done.stderr), done.stderr[-600:]
    assert not (tmp_path / "g").exists()
