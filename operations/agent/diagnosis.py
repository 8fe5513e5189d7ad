"""Diagnosis: the causes that the evidence speaks for, with their confidence."""

from dataclasses import dataclass
from typing import Any

from operations.agent.calibration import calibration_of
from operations.agent.causes import CAUSES, Sign
from operations.agent.evidence import Evidence


@dataclass(frozen=True)
class Suspicion:
    """A cause with its confidence.

    Attributes:
        cause: name of the cause.
        title: the cause in words.
        confidence: calibrated, from 0 to 1.
        signs: figures that speak for and against it, the strongest first.
    """

    cause: str
    title: str
    confidence: float
    signs: tuple[Sign, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the suspicion as an entry's detail."""
        return {
            "cause": self.cause,
            "title": self.title,
            "confidence": round(self.confidence, 3),
            "for": [_told(sign) for sign in self.signs if sign.strength > 0],
            "against": [_told(sign) for sign in self.signs if sign.strength < 0],
        }


def diagnose(evidence: Evidence) -> list[Suspicion]:
    """Return every cause with its confidence, the most likely first."""
    found = []
    for name, kind in CAUSES.items():
        signs = tuple(sorted(kind.signs(evidence), key=lambda sign: (-abs(sign.strength), sign.name)))
        confidence = calibration_of(name, kind.names).confidence(signs)
        # Where nothing speaks for a cause, its share among all faults is no reason to name it.
        speaks = any(sign.strength > 0 for sign in signs)
        found.append(Suspicion(name, kind.title, confidence if speaks else 0.0, signs))
    return sorted(found, key=lambda each: (-each.confidence, each.cause))


def _told(sign: Sign) -> dict[str, Any]:
    return {"sign": sign.name, "value": float(f"{min(sign.value, 1e6):.3g}"), "text": sign.text}
