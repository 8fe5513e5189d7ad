"""Blends: declared like a candidate, but weighted from the predictions of others, see `almanac.training.blending`."""

from collections.abc import Mapping, Sequence

from almanac.usecase.training_section import Blend


class _Blend:
    name = "blend"
    declaration = Blend
    blendable = False

    def parameters(self) -> Mapping[str, Sequence[str]]:
        return {}


KIND = _Blend()
