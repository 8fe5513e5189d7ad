"""Features from one specification: a batch engine for training and an online engine for serving.

A feature is written down once, as a formula, and both engines are made from that; so they agree in every bit.

    use case ─ kinds ─ spec            `kinds`: one module a kind, from the declaration to formulas; `fit` learns
                        │
               compiler.tracing        a formula, called with symbols, leaves steps: a = b + c, a = b, 24 rows ago
                        │
               compiler.formula        which inputs, how far back, computed or a view
                        │
                compiler.graph         formulas that are compiled together
          ┌─────────────┴─────────────┐
    allocate, batch_codegen      row_codegen        over blocks of rows   |   for one row: each value once
          │                           │
    execute, rows.c              row, point.c       compiled operations, the same in both (`operations`)
          │                           │
    blocks, batch, partitions      online           tables, entities, threads, workers   |   one prediction time

Where there is no compiler, NumPy executes the same operations. `table` and `timeline` give the engines rows and times;
`target` and `split` are what a model learns, and on which rows.

This package imports nothing by itself: the use case file lists the kinds, and so stands below the engines.
"""
