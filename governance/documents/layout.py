"""Names of the files in a governance directory."""

FOLDER = "governance"
MANIFEST, REFERENCES, COMPUTED, PROVENANCE = "manifest.json", "references.json", "computed.json", "provenance.json"
PAGE, MODEL_CARD, MATERIALS = "index.html", "modelcard.cdx.json", "mlbom.cdx.json"
USECASE, REGISTRATION = f"{FOLDER}/usecase.json", f"{FOLDER}/registration.json"

#: Files that every governance directory holds beside its Markdown documents.
COMMON_FILES = (PAGE, MODEL_CARD, MATERIALS, PROVENANCE, REFERENCES, COMPUTED, MANIFEST)
