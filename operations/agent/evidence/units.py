"""Conversions of the units that columns are declared in, as a source may change them without a word."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conversion:
    """An affine conversion: new = factor * old + offset."""

    unit: str
    factor: float
    offset: float = 0.0


#: By declared unit, the units that its values may turn into.
_KNOWN = {
    "°C": (Conversion("°F", 1.8, 32.0), Conversion("K", 1.0, 273.15)),
    "°F": (Conversion("°C", 1 / 1.8, -32 / 1.8), Conversion("K", 1 / 1.8, 459.67 / 1.8)),
    "K": (Conversion("°C", 1.0, -273.15), Conversion("°F", 1.8, -459.67)),
    "hPa": (
        *(Conversion("kPa", 0.1), Conversion("Pa", 100.0), Conversion("mmHg", 0.750062)),
        Conversion("inHg", 0.02953),
    ),
    "m/s": (Conversion("km/h", 3.6), Conversion("mph", 2.236936), Conversion("kn", 1.943844)),
    "km/h": (Conversion("m/s", 1 / 3.6), Conversion("mph", 0.621371), Conversion("kn", 0.539957)),
    "mm": (Conversion("inch", 1 / 25.4), Conversion("cm", 0.1)),
    "h": (Conversion("min", 60.0), Conversion("d", 1 / 24)),
    "%": (Conversion("share", 0.01),),
}
#: A prefix may be lost or added in any unit.
_PREFIXES = (
    *(Conversion("thousandth", 1e-3), Conversion("hundredth", 1e-2), Conversion("tenth", 0.1)),
    *(Conversion("tenfold", 10.0), Conversion("hundredfold", 100.0), Conversion("thousandfold", 1e3)),
)


def conversions(unit: str | None) -> tuple[Conversion, ...]:
    """Return the conversions that a column of this unit may have suffered."""
    return (*_KNOWN.get(unit or "", ()), *_PREFIXES)
