"""Recorded formulas: what they compute, in few buffers, and the same bits by the kernel and by NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almanac.features import blocks
from almanac.features.batch import compute
from almanac.features.compiler.allocate import Instruction, Program, Slot
from almanac.features.compiler.execute import Code, Slots, kernel, library
from almanac.features.compiler.operations import COMPILED, OPERATIONS
from almanac.features.compiler.tracing import WHOLE, ColumnInput, Expression, Operand, Trace, Value, ago, since
from almanac.features.fit import fit
from almanac.features.spec import FeatureSpec
from almanac.features.split import train_test
from almanac.usecase import load
from tests.unit.features.test_features_properties import make_spec, needs_compiler, tables

ROOT = Path(__file__).resolve().parents[3]
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def spec(beijing: pl.DataFrame) -> FeatureSpec:
    usecase = load(ROOT / "usecases" / "air_quality.yaml")
    return fit(usecase, beijing, train_test(usecase, beijing["timestamp"])[0])


def bits(values: Array) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(values).view(np.int64)


def matrix(spec: FeatureSpec, table: pl.DataFrame) -> Array:
    return compute(spec, table).select(spec.names).to_numpy()


@needs_compiler
@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("constant", ["none", "left", "right"])
def test_an_operation_gives_the_same_bits_by_kernel_and_by_numpy(name: str, constant: str) -> None:
    odd = [np.nan, 0.1, -3.0, 0.0, 7.3, np.inf, -np.inf, 1e300, 2.0, 5e-324, 0.5, 3.0]
    left, right = np.tile(odd, len(odd)), np.repeat(odd, len(odd))
    first: Slot | float = 0.7 if constant == "left" else Slot(0, 2)
    second: Slot | float = 0.7 if constant == "right" else Slot(1, 0)
    operands: tuple[Slot | float, ...]
    if name == "since":
        operands = (Slot(0, 2), 0.5, 4.0)
    elif name == "looked_up":
        left = np.tile([np.nan, 0.0, 3.0], 48)
        operands = (Slot(0, 2), Slot(1, WHOLE))
    else:
        operands = (first, second) if OPERATIONS[name].operands == 2 else (first,)
    found = []
    for function in (kernel(), None):
        rows = np.stack([left, right, np.full_like(left, 9.0)])
        instruction = Instruction(name, operands, out=2, before=1, history=3 if name == "since" else 0)
        with np.errstate(all="ignore"):
            Code([instruction], function).run(Slots([rows]), np.array([8, 0 if name == "looked_up" else 8, 8]), 100)
        found.append(rows)
    np.testing.assert_array_equal(bits(found[0]), bits(found[1]))
    assert (found[0][2, :7] == 9.0).all() and (found[0][2, 108:] == 9.0).all()


@needs_compiler
def test_the_features_of_the_real_series_are_the_same_without_a_compiler(
    spec: FeatureSpec,
    beijing: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert kernel() is not None
    compiled = matrix(spec, beijing)
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("ALMANAC_KERNELS", str(tmp_path))
    library.cache_clear()
    try:
        by_numpy = [matrix(spec, beijing) for _ in range(2)]
    finally:
        library.cache_clear()
    for one in by_numpy:
        np.testing.assert_array_equal(bits(compiled), bits(one))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "compiler" in caplog.text


@needs_compiler
@settings(max_examples=20, deadline=None, derandomize=True)
@given(table=tables(), limit=st.sampled_from(["0h", "3h"]), size=st.sampled_from([1, 7, 2048]))
def test_odd_tables_and_blocks_of_any_size_give_the_same(table: pl.DataFrame, limit: str, size: int) -> None:
    spec = make_spec(limit=limit)
    whole = matrix(spec, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", size)
        np.testing.assert_array_equal(matrix(spec, table), whole)
        patch.setattr(blocks, "kernel", lambda: None)
        patch.setattr(blocks, "NUMPY_BLOCK", size)
        np.testing.assert_array_equal(matrix(spec, table), whole)


def run(program: Program, slots: Array, first: int) -> None:
    """Run a program from the place `first` of its inputs and outputs to their end."""
    n = slots.shape[1] - first
    buffers = np.full((program.buffers, program.before + n), 77.0)
    places = np.repeat([first, program.before], [len(slots), program.buffers])
    Code(program.instructions, kernel()).run(Slots([slots, buffers]), places, n)


def program_of(trace: Trace, outputs: dict[int, Value], slots: int) -> Program:
    """A program whose one input is slot 0."""
    return Program(trace, outputs, {X: 0}, slots)


X = ColumnInput("x")


def column(trace: Trace) -> Expression:
    return Expression(trace, Operand(X))


def test_a_formula_looks_back_over_several_steps() -> None:
    x = np.random.default_rng(1).normal(size=60)
    trace = Trace()
    value = column(trace)
    four = value + ago(value, 1)
    four = four + ago(four, 2)
    program = program_of(trace, {1: ago(four, 5) * 2.0, 2: ago(value, 3)}, 3)
    assert program.before == 5 + 2
    assert program.buffers == 2
    slots = np.stack([x, np.full(60, 9.0), np.full(60, 9.0)])
    run(program, slots, 20)
    expected = [2.0 * ((x[k - 5] + x[k - 6]) + (x[k - 7] + x[k - 8])) for k in range(20, 60)]
    np.testing.assert_array_equal(slots[1, 20:], expected)
    np.testing.assert_array_equal(slots[2, 20:], x[17:57])
    assert (slots[1:, :20] == 9.0).all()


def test_a_step_is_noted_once_and_only_what_is_needed_is_computed() -> None:
    trace = Trace()
    x = column(trace)
    wanted = np.sqrt(x * 2.0) + np.sqrt(x * 2.0)
    np.log1p(x)
    program = program_of(trace, {1: wanted}, 2)
    assert [one.operation for one in program.instructions] == ["multiply", "sqrt", "add"]


def test_buffers_are_used_again() -> None:
    trace = Trace()
    value = column(trace)
    for k in range(20):
        value = value * 1.5 + float(k)
    program = program_of(trace, {1: value}, 2)
    assert len(program.instructions) == 40
    assert program.buffers == 2


def test_one_value_may_be_several_features_and_a_number_may_be_one() -> None:
    x = np.arange(6.0)
    trace = Trace()
    double = column(trace) * 2.0
    program = program_of(trace, {1: double, 2: double, 3: 24.0}, 4)
    slots = np.stack([x, x, x, x])
    run(program, slots, 0)
    np.testing.assert_array_equal(slots[1:], [2 * x, 2 * x, np.full(6, 24.0)])


def test_elapsed_rows_count_from_before_the_block() -> None:
    x = np.array([0.0, 9.0, 0.0, 0.0, np.nan, 0.0, 0.0, 9.0, 0.0])
    trace = Trace()
    program = program_of(trace, {1: since(column(trace), 5.0, 4)}, 2)
    slots = np.stack([x, np.full(9, 77.0)])
    run(program, slots, 3)
    assert slots[1, 3:].tolist() == [2.0, 3.0, 4.0, 4.0, 0.0, 1.0]


def test_a_function_that_is_no_elementary_operation_is_refused() -> None:
    x: Any = column(Trace())
    with pytest.raises(TypeError, match="tanh is no elementary operation; use one of add"):
        np.tanh(x)
    with pytest.raises(TypeError, match="is no elementary operation"):
        _ = x == x
    assert "tanh" not in OPERATIONS


@needs_compiler
def test_the_enumeration_of_the_kernels_is_the_list_of_operations() -> None:
    assert library().almanac_operations().decode().lower().split() == COMPILED
