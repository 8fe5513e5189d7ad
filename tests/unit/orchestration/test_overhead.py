"""The benchmark of orchestration calls every component of the training pipeline as the pipeline does."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from benchmarks import pipeline_overhead
from components.preflight.component import Preflight

ROOT = Path(__file__).resolve().parents[3]


def test_every_component_is_called_with_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    class Checked(pipeline_overhead.Direct):
        def __call__(self, component: Any, outputs: dict[str, Any], **inputs: Any) -> dict[str, Any]:
            function = component.python_func
            signature = inspect.signature(function)
            given = {"usecase": ""} if "usecase" in signature.parameters else {}
            signature.bind(**given, **inputs, **outputs)
            for name, kind in outputs.items():
                assert signature.parameters[name].annotation == dsl.Output[kind], f"{component.name}: {name}"
            called.append(component.name)
            answer = Preflight("", "", True) if component.name == "preflight" else None
            return dict.fromkeys(outputs) | {"Output": answer}

    monkeypatch.setattr(pipeline_overhead, "Direct", Checked)
    pipeline_overhead.run_in_process(ROOT / "usecases" / "air_quality.yaml", [], tmp_path)
    assert called[0] == "preflight" and called[-1] == "deployment" and len(called) == 11
