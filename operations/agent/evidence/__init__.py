"""Evidence: the figures that a diagnosis rests on."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """Figures about a use case at one moment.

    Each figure is a ratio that is 1 at the border of the usual; a figure that nobody could look at is absent.

    Attributes:
        alarm: name of the alarm that the evidence was gathered for.
        figures: by name, such as `error` or `service.store_errors`.
        columns: figures of each column of the table, such as `shift` or `run`.
        units: by column, the unit that explains its newest values best.
        notes: reasons why something could not be looked at.
    """

    alarm: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    columns: dict[str, dict[str, float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    target: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def worst(self, figure: str, of: str = "all") -> tuple[str, float] | None:
        """Return the column with the largest value of a figure, and that value; None where no column has it.

        Args:
            figure: name of the figure.
            of: all, inputs or targets.
        """
        chosen = {
            name: values[figure]
            for name, values in self.columns.items()
            if figure in values and (of == "all" or (name in self.target) is (of == "targets"))
        }
        if not chosen:
            return None
        name = max(chosen, key=lambda each: (chosen[each], each))
        return name, chosen[name]

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> "Evidence":
        """Return the evidence of a journal's entry."""
        figures, columns, units = (dict(document.get(name, {})) for name in ("figures", "columns", "units"))
        return cls(str(document.get("alarm", "")), figures, columns, units, notes=tuple(document.get("notes", ())))

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON, figures with four digits."""
        return {
            "alarm": self.alarm,
            "figures": {name: _short(value) for name, value in sorted(self.figures.items())},
            "columns": {
                name: {figure: _short(value) for figure, value in sorted(values.items())}
                for name, values in sorted(self.columns.items())
            },
            "units": dict(sorted(self.units.items())),
            "notes": list(self.notes),
        }


def _short(value: float) -> float:
    # Figures are ratios: beyond these a larger one says nothing more, and JSON has no infinity.
    return float(f"{min(max(value, -1e6), 1e6):.4g}")
