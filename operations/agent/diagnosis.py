"""Diagnosis: the causes that the evidence speaks for, with their confidence."""

from collections.abc import Sequence
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


def is_gone(evidence: Evidence, cause: str) -> bool:
    """Return whether the evidence no longer speaks for a cause."""
    suspicion = next(each for each in diagnose(evidence) if each.cause == cause)
    # The alarm's own name still speaks for the cause; the figures have to say that it is gone.
    others = [sign for sign in suspicion.signs if sign.name != "alarm"]
    return bool(others) and not any(sign.strength > 0 for sign in others)


def sentence(found: Sequence[Suspicion], least: float) -> str:
    """Return a diagnosis in a sentence, which names a cause where its confidence is at least `least`."""
    if not found or found[0].confidence < least:
        likely = f"; the most likely is {found[0].cause}, {found[0].confidence:.0%}" if found else ""
        return f"no cause is likely enough{likely}"
    first = found[0]
    reason = next((sign.text for sign in first.signs if sign.strength > 0), "")
    return f"{first.title}, confidence {first.confidence:.0%}{f': {reason}' if reason else ''}"


def _told(sign: Sign) -> dict[str, Any]:
    return {"sign": sign.name, "value": float(f"{min(sign.value, 1e6):.3g}"), "text": sign.text}
