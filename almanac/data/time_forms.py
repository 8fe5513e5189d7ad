"""Reading of texts and numbers as times by a format, which may leave out the minute, the day or the month."""

import polars as pl

#: Formats of numbers since 1970, and the microseconds in one of them.
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
#: Codes that include the minute, the day and the month; the parser needs one of each.
_MINUTES = ("%M", "%T", "%R", "%X", "%c", "%s")
_DAYS = ("%d", "%e", "%j", "%D", "%F", "%v", "%x", "%c", "%s", "%u", "%w", "%a", "%A")
_MONTHS = (*_DAYS, "%m", "%b", "%B", "%h", "%q")
_WEEKS = ("%V", "%U", "%W")
#: First month of each quarter, which the parser does not know, and digits that are no quarter.
_QUARTERS = {"Q1": "Q01", "Q2": "Q04", "Q3": "Q07", "Q4": "Q10"} | {f"Q{digit}": "Q?" for digit in "056789"}
_TYPE = pl.Datetime("us")


def read_times(source: pl.Series, form: str | None) -> pl.Series:
    """Return stripped texts or numbers as times, null where one is not of the form; a month or a quarter is its start.

    Raises:
        PolarsError: it is no format.
    """
    if form in EPOCHS:
        number = source.cast(pl.Float64, strict=False) if source.dtype == pl.String else source.cast(pl.Float64)
        # Rounded, because decimal seconds are not exact in binary.
        return (number * EPOCHS[form]).round().cast(pl.Int64, strict=False).cast(_TYPE)
    if form is not None:
        source, form = _completed(source, form)
    # Not strict, so that every time that cannot be read is found, and named with its row.
    return source.str.to_datetime(form, time_unit="us", strict=False)


def _completed(texts: pl.Series, form: str) -> tuple[pl.Series, str]:
    """Return texts and their form with the parts that the parser needs: the start of a week, month, quarter or year."""

    def lacks(codes: tuple[str, ...]) -> bool:
        return not any(code in form for code in codes)

    added = []
    if "%H" in form and lacks(_MINUTES):
        added.append(("00", "%M"))
    if lacks(_DAYS):
        added.append(("01", "%d") if lacks(_WEEKS) else ("1", "%u"))
        if lacks(_MONTHS) and lacks(_WEEKS):
            added.append(("01", "%m"))
    if "Q%q" in form:
        texts, form = texts.str.to_uppercase().str.replace_many(_QUARTERS), form.replace("Q%q", "Q%m")
    for text, code in added:
        texts, form = texts + f"~{text}", f"{form}~{code}"
    return texts, form
