"""The use case file: everything particular to one forecasting problem, in one strict YAML."""

from almanac.usecase.load import digest, dump, load, load_text, schema
from almanac.usecase.model import UseCase

__all__ = ["UseCase", "digest", "dump", "load", "load_text", "schema"]
