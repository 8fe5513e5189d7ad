"""The feature compiler: formulas are traced once and executed by blocks of rows or one row at a time."""
