"""Features from one specification: a batch engine for training and an online engine for serving.

A feature is written down once, as a formula, and both engines are made from that; so they agree in every bit.

    use case ─ plan ─ spec            what is wanted: nodes (`nodes`), in grid steps, with what `fit` learned
                       │
             formulas, windowed       how each is computed: sums over windows, and the last step of a statistic
                       │
         expression, recordings       run once on symbols, formulas leave steps behind: a = b + c, a = b, 24 rows ago
                       │
         ┌─────────────┴──────────────┐
    lowering, program              scalars               over blocks of rows   |   for one row: each value once
         │                            │
    execution, rows.c              point, point.c        compiled operations, the same in both (`operations.h`)
         │                            │
    blocks, batch, partitions      online                tables, entities, threads, workers   |   one prediction time

Where there is no compiler, NumPy takes the kernels' place: `execution` by blocks, and for one row `rolling`, `seasonal`
and `pointwise` with the index arrays of `pyramid`. `table`, `timeline` and `clock` give the engines rows and times;
`target` and `split` are what a model learns, and on which rows.
"""

from almanac.features.spec import FeatureSpec

__all__ = ["FeatureSpec"]
