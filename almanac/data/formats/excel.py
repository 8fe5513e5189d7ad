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
        sheet = book.load_sheet(name, header_row=read.skip_rows, schema_sample_rows=None)
    except fastexcel.FastExcelError as error:
        raise ValueError(str(error)) from None
    table: pl.DataFrame = sheet.to_polars()
    # Rows and columns that were only formatted have no value.
    table = table.filter(~pl.all_horizontal(pl.all().is_null())) if table.width else table
    table = table.select(column.name for column in table if not _is_blank(column))
    texts = pl.selectors.string()
    return table.with_columns(pl.when(~texts.is_in([*read.null_values, ""])).then(texts).name.keep())


def _is_blank(column: pl.Series) -> bool:
    return column.name.startswith("__UNNAMED__") and column.null_count() == column.len()


KIND = FormatKind("excel", _parse, textual=True)
