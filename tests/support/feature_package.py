"""A feature kind of a package of its own, which learns a number from the training rows."""

ENTRY_POINTS = """
[almanac.features]
momentum = pace:KIND
"""
CODE = '''
from typing import Literal

import numpy as np

from almanac.features.kind import Columns, Declaration, Duration, Feature, FeatureKind
from almanac.features.windows import mean, total


class Momentum(Declaration):
    """Mean of a short window less that of a long one, in spreads of the column: `pm_momentum_3h_12h`."""

    kind: Literal["momentum"]
    columns: Columns
    short: Duration
    """Short window."""
    long: Duration
    """Long window."""

    def learn(self, training):
        return {column: float(np.nanstd(training(column))) or 1.0 for column in self.columns}

    def features(self, context):
        short, long = context.window(self.short), context.window(self.long)
        for column in self.columns:
            spread = (context.learned or {}).get(column, 1.0)
            yield Feature(f"{column}_momentum_{self.short}_{self.long}", momentum, (column, short, long, spread))


def momentum(inputs, column, short, long, spread):
    x = inputs.column(column)
    near, far = (mean(total(x.deviation, n), total(x.present, n), x.centre) for n in (short, long))
    return (near - far) / spread


KIND = FeatureKind(Momentum, [{"kind": "momentum", "columns": ["volume"], "short": "2h", "long": "7h"}])
'''
ITEM = {"kind": "momentum", "group": "lagged", "columns": ["load"], "short": "3h", "long": "12h"}
