"""Sheets of Excel workbooks (.xlsx, .xls, .ods), with the types of their cells."""

import polars as pl

from almanac.data.formats import FormatKind
from almanac.usecase.data_section import Read


def _parse(data: bytes, read: Read) -> pl.DataFrame:
    import fastexcel

    try:
        book = fastexcel.read_excel(data)
        name = read.table
        if name is None:
            if len(book.sheet_names) != 1:
                raise ValueError(f"holds several sheets; name one in 'read.table': {', '.join(book.sheet_names)}")
            name = book.sheet_names[0]
        if name not in book.sheet_names:
            raise ValueError(f"holds no sheet {name!r}; there is {', '.join(book.sheet_names)}")
        last = read.skip_rows + read.header_rows - 1
        sheet = book.load_sheet(name, header_row=last, schema_sample_rows=None)
        header = book.load_sheet(name, header_row=None, n_rows=last + 1, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise ValueError(str(error)) from None
    table: pl.DataFrame = sheet.to_polars()
    if read.header_rows > 1:
        names = _names(header.tail(read.header_rows))
        table = table.rename({old: new for old, new in zip(table.columns, names, strict=False) if new})
    # Rows and columns that were only formatted have no value.
    table = table.filter(~pl.all_horizontal(pl.all().is_null())) if table.width else table
    table = table.select(column.name for column in table if not _is_blank(column))
    texts = pl.selectors.string()
    return table.with_columns(pl.when(~texts.is_in([*read.null_values, ""])).then(texts).name.keep())


def _names(header: pl.DataFrame) -> list[str]:
    """Return the names that several rows of a header make; cells of an upper one are merged up to the next."""
    *upper, _ = merged = header.rows()
    for number, row in enumerate(upper):
        merged[number] = pl.Series(row, dtype=pl.String).forward_fill().to_list()  # type: ignore[call-overload]
    return [" ".join(dict.fromkeys(part.strip() for part in parts if part)) for parts in zip(*merged, strict=True)]


def _is_blank(column: pl.Series) -> bool:
    return column.name.startswith("__UNNAMED__") and column.null_count() == column.len()


KIND = FormatKind("excel", _parse, textual=True)
