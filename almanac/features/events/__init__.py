"""Features of events: from histories that hold an outcome only once it is known.

    kind        what an event kind declares: numbers asked of an entity's past
    ledger      the outcomes of each entity, in order of time; they only grow
    engine      one event at a time: learns outcomes, and answers from the part of each ledger that was known
    batch       the same engine over a table, in order of time

The numbers of the histories become columns of the event's row, from which the feature compiler computes the rest.
Training and serving run the same code on the same rows, so that they agree to the last bit.
"""
