"""Parts of a use case that the steps of a pipeline read, and by which their results are cached.

A step takes its part before it does anything, and the cache keys the step by the digest of the same part. So an edited
statement makes documents anew and trains nothing.
"""

from almanac.usecase.cluster_section import Cluster
from almanac.usecase.evaluation_section import Bands, Evaluation
from almanac.usecase.features_section import Features
from almanac.usecase.load import digest
from almanac.usecase.model import UseCase
from almanac.usecase.operations_section import Drift, Governance, Schedule, Serving
from almanac.usecase.split_section import Split
from almanac.usecase.training_section import Training

#: Fields of the whole use case that no step before the documents reads for its result.
_PROSE = ("title", "description")


def reads(usecase: UseCase, step: str) -> UseCase:
    """Return a use case whose sections that a step does not read are those of an empty one.

    Args:
        usecase: the use case.
        step: name of a component; of one that is not listed here, everything is read.
    """
    return _READS.get(step, _everything)(usecase)


def trained_digest(usecase: UseCase) -> str:
    """Return the sha256 of the part that training reads, by which a model names its use case."""
    return digest(_learned(usecase))


def _everything(usecase: UseCase) -> UseCase:
    return usecase


def _learned(usecase: UseCase) -> UseCase:
    """Return the part that features and models are made of."""
    evaluation, serving, drift = usecase.evaluation, usecase.serving, usecase.drift
    return usecase.model_copy(
        update=dict.fromkeys(_PROSE, "")
        | {
            "sources": [
                source.model_copy(update={"title": "", "url": None, "licence": ""}) for source in usecase.sources
            ],
            # The present of an archive is recorded with its model.
            "validation": type(usecase.validation)(staleness=usecase.validation.staleness),
            "evaluation": Evaluation(season=evaluation.season, bands=evaluation.bands),
            "gates": [],
            "drift": drift.model_copy(update={"policy": Drift().policy, "signals": Drift().signals}),
            "serving": Serving(decision=serving.decision, out_of_range=serving.out_of_range),
            "governance": Governance(),
            "schedule": Schedule(),
            "cluster": Cluster(),
            "tracking": None,
        }
    )


def _trained(usecase: UseCase) -> UseCase:
    # A server to log to changes no model, so that a model's digest of its use case leaves it out.
    return _learned(usecase).model_copy(update={"tracking": usecase.tracking})


def _evaluated(usecase: UseCase) -> UseCase:
    kept = ("title", "description", "evaluation", "sources")
    return _learned(usecase).model_copy(update={name: getattr(usecase, name) for name in kept})


def _judged(usecase: UseCase) -> UseCase:
    return _learned(usecase).model_copy(update={"evaluation": usecase.evaluation, "gates": usecase.gates})


def _valid(usecase: UseCase) -> UseCase:
    # Where any text may come up, the training span decides which ones are unseen.
    open_ = any(column.is_open for column in usecase.columns.values())
    kept = ("title", "description", "validation", "targets", *(["split"] if open_ else []))
    read = {name: getattr(usecase, name) for name in kept}
    return _tabular(usecase).model_copy(update=read | {"sources": _learned(usecase).sources})


def _tabular(usecase: UseCase) -> UseCase:
    """Return the part that a table is read by, without anything on features, models and people."""
    return _learned(usecase).model_copy(
        update={
            "sources": usecase.sources,
            "features": Features.model_construct(items=[]),
            "targets": [],
            "split": Split.model_construct(),
            "training": Training.model_construct(candidates=[]),
            "evaluation": Evaluation(season="1d", bands=Bands(edges=[0.0])),
            "drift": Drift(),
            "serving": Serving(),
        }
    )


def _watched(usecase: UseCase) -> UseCase:
    kept = ("title", "description", "drift")
    return _learned(usecase).model_copy(update={name: getattr(usecase, name) for name in kept})


_READS = {
    "fingerprint": _tabular,
    "ingestion": _tabular,
    "validation": _valid,
    "drift": _watched,
    "preprocessing": _learned,
    "training": _trained,
    "evaluation": _evaluated,
    "gate": _judged,
}
