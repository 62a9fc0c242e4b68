"""Finds out whether a row's answer depends on the batch it rides in, and decides what is done about it.

The same rows are computed in batches of many sizes, in two orders each, so that every row has other neighbours and another
place. Sizes whose answers are the same to the bit form a class. Rounding is told from dependence by its size: it never takes
half of a type's digits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from server.runtime.batching import Batching, Invariance, Padding
from server.runtime.session import CannotLoad, Feeds, Session
from server.tensors import Array, DataType, TensorSpec

# What is done where kernels are not invariant: refuse what padding cannot mend, pad where that mends it, or only say so.
Mode = Literal["require", "pad", "report"]
_ORDERS = 2
# One row, what is left over after vectors of 4, 8 and 16, full tiles, and batches that several threads would share.
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 48, 64, 65, 128, 256, 1024)
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
# Where only one size can be run: not so large that a lone row pays for many, nor so small that batches save nothing.
_USUAL = 16
_SQRT_EPSILON = {
    DataType.FP16: 2.0**-5,
    DataType.BF16: 2.0**-4,
    DataType.FP32: 2.0**-11.5,
    DataType.FP64: 2.0**-26,
}
_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Findings:
    """What batches of the same rows showed.

    `classes`: sizes whose answers agree to the bit wherever a row stands and beside whom, by class. `unsteady`: sizes whose own
    batches disagree. `difference`: the largest absolute difference seen. `dependent`: what shows that other rows decide a
    row's answer; empty when nothing does.
    """

    classes: tuple[tuple[int, ...], ...]
    unsteady: tuple[int, ...] = ()
    difference: float = 0.0
    dependent: str = ""


class _Dependent(Exception):
    """A row's answer is not the row's own."""


def by_rows(session: Session) -> bool:
    """Whether the first dimension of every input and output is the caller's to choose."""
    specs = (*session.inputs, *session.outputs)
    return bool(session.inputs) and all(spec.shape and spec.shape[0] == -1 for spec in specs)


def compare_batches(session: Session, feeds: Feeds, sizes: Sequence[int]) -> Findings:
    """Runs the rows in batches of every size.

    Args:
        session: of a graph by rows.
        feeds: the rows, at least one.
        sizes: of the batches, at least one.

    Raises:
        RunFailed: the graph fails on these rows.
    """
    keys: defaultdict[Hashable, list[int]] = defaultdict(list)
    unsteady: list[int] = []
    difference, first = 0.0, None
    try:
        for size in sizes:
            runs = [answers for order in _orders(feeds) for answers in _answers(session, feeds, size, order)]
            first = first or runs[0]
            difference = max(difference, *(_difference(session.outputs, first, run, size) for run in runs))
            seen = {_key(run) for run in runs}
            (unsteady if len(seen) > 1 else keys[seen.pop()]).append(size)
    except _Dependent as shown:
        return Findings((), dependent=str(shown))
    return Findings(tuple(map(tuple, keys.values())), tuple(unsteady), difference)


def seconds_to_compare(session: Session, feeds: Feeds, sizes: Sequence[int], clock: Callable[[], float]) -> float:
    """What `compare_batches` would take, from the time of one row and of some: a run takes a + b · rows.

    Raises:
        RunFailed: the graph fails on these rows.
    """

    def seconds(rows: int) -> float:
        batch = {name: array[np.arange(rows) % len(array)] for name, array in feeds.items()}
        outputs = [spec.name for spec in session.outputs]
        session.run(batch, outputs)
        started = clock()
        session.run(batch, outputs)
        return clock() - started

    one, some = seconds(1), seconds(_USUAL)
    by_row = max(some - one, 0) / (_USUAL - 1)
    total = len(next(iter(feeds.values())))
    runs = [-(-total // size) for size in sizes]
    rows = sum(count * size for count, size in zip(runs, sizes, strict=True))
    return _ORDERS * (sum(runs) * max(one - by_row, 0) + rows * by_row)


def decide(findings: Findings, mode: Mode, buckets: Sequence[int]) -> Batching:
    """What follows from the findings.

    Args:
        findings: over the buckets, if there are any.
        mode: what is done where batches differ.
        buckets: ascending; the only sizes that runs may have, if there are any.

    Raises:
        CannotLoad: `require`, and no padding makes batches agree.
    """
    if findings.dependent:
        return _refused(mode, Batching(Invariance.DEPENDENT, why=findings.dependent))
    padding = _agreeing(findings, buckets)
    as_asked = Padding(sizes=tuple(buckets))
    if padding == as_asked or (padding and mode != "report"):
        return Batching(Invariance.EXACT, padding)
    why = f"rows differ by up to {findings.difference:.3g} between batches"
    return _refused(mode, Batching(Invariance.BOUNDED, as_asked, findings.difference, why))


def _refused(mode: Mode, batching: Batching) -> Batching:
    if mode == "require":
        raise CannotLoad(f"answers depend on the batch, and batch_invariance = 'require': {batching.why}")
    return batching


def _agreeing(findings: Findings, buckets: Sequence[int]) -> Padding | None:
    """The padding that costs least among those under which all batches agree."""
    if buckets:
        sizes = _largest_class(findings, buckets)
        return Padding(sizes=sizes) if sizes else None
    multiple = next((m for m in _MULTIPLES if _multiples_agree(findings, m)), None)
    if multiple:
        return Padding(multiple)
    sizes = _largest_class(findings, _MULTIPLES)
    return Padding(sizes=sizes) if sizes else None


def _multiples_agree(findings: Findings, multiple: int) -> bool:
    """All multiples that were tried are in one class, and there is more than one."""
    if any(size % multiple == 0 for size in findings.unsteady):
        return False
    parts = [[size for size in sizes if size % multiple == 0] for sizes in findings.classes]
    found = [part for part in parts if part]
    return len(found) == 1 and len(found[0]) > 1


def _largest_class(findings: Findings, wanted: Sequence[int]) -> tuple[int, ...]:
    """Most sizes that agree; of as many, those with the usual size, else with the smallest."""
    classes = [tuple(size for size in sizes if size in wanted) for sizes in findings.classes]
    return max(
        (sizes for sizes in classes if sizes), key=lambda sizes: (len(sizes), _USUAL in sizes, -sizes[0]), default=()
    )


def _orders(feeds: Feeds) -> Iterator[_Indices]:
    rows = len(next(iter(feeds.values())))
    yield np.arange(rows)
    yield np.roll(np.arange(rows)[::-1], 1)


def _answers(session: Session, feeds: Feeds, size: int, order: _Indices) -> Iterator[list[Array]]:
    """Every output [rows, ...] in the rows' own order, twice: as the first batches have them, and as the last.

    Batches are filled up from the beginning, so that the last ones have rows in the places that the first left out.
    """
    index = np.resize(order, -(-len(order) // size) * size)
    batches = [index[start : start + size] for start in range(0, len(index), size)]
    parts = [_run(session, {name: array[batch] for name, array in feeds.items()}, size) for batch in batches]
    joined = [np.concatenate(results) for results in zip(*parts, strict=True)]
    for window in (slice(len(order)), slice(len(index) - len(order), None)):
        back = np.argsort(index[window], kind="stable")
        yield [answers[window][back] for answers in joined]


def _run(session: Session, feeds: Feeds, size: int) -> list[Array]:
    outputs = [spec.name for spec in session.outputs]
    results = session.run(feeds, outputs)
    for output, result in zip(outputs, results, strict=True):
        if result.ndim == 0 or len(result) != size:
            raise _Dependent(f"output {output!r} has shape {list(result.shape)} for {size} rows")
    return results


def _key(answers: Sequence[Array]) -> Hashable:
    return tuple(tuple(a.ravel()) if a.dtype == object else a.tobytes() for a in answers)


def _difference(specs: Sequence[TensorSpec], first: Sequence[Array], other: Sequence[Array], size: int) -> float:
    """The largest absolute difference that rounding can explain.

    Raises:
        _Dependent: one that it cannot.
    """
    largest = 0.0
    for spec, a, b in zip(specs, first, other, strict=True):
        difference = _distance(spec.datatype, a, b)
        if difference is None:
            raise _Dependent(f"output {spec.name!r} is another for the same row in batches of {size}")
        largest = max(largest, difference)
    return largest


def _distance(datatype: DataType, a: Array, b: Array) -> float | None:
    """The largest absolute difference, None if it is more than rounding."""
    if a.shape != b.shape:
        return None
    if datatype not in _SQRT_EPSILON:
        return 0.0 if np.array_equal(a, b) else None
    a, b = _wide(datatype, a), _wide(datatype, b)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if equal.all():
        return 0.0
    if not (np.isfinite(a) & np.isfinite(b))[~equal].all():
        return None
    largest = float(np.abs(a[~equal] - b[~equal]).max())
    scale = float(np.abs(a[np.isfinite(a)]).max())
    return largest if largest <= _SQRT_EPSILON[datatype] * scale else None


def _wide(datatype: DataType, array: Array) -> npt.NDArray[np.float64]:
    floats = (array.astype(np.uint32) << 16).view(np.float32) if datatype is DataType.BF16 else array
    return floats.astype(np.float64)
