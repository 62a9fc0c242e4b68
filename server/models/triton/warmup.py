"""Runs a configuration's warm-up samples on a session that does not serve yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from server.models.interface import Interface
from server.models.triton.config import Filling, InvalidConfig, WarmupInput, WarmupSample
from server.runtime.session import RunFailed, Session
from server.tensors import Array, BadTensorBytes, DataType, from_raw

ReadFile = Callable[[str], bytes | None]


def warm_up(samples: Sequence[WarmupSample], session: Session, interface: Interface, read: ReadFile) -> None:
    """Runs each sample as often as it says.

    Args:
        samples: what to run, in this order.
        session: that of the model.
        interface: the model's, which the samples must fit.
        read: gives a file of the model's `warmup` folder, None if there is none.

    Raises:
        InvalidConfig: a sample does not fit the model, its file is missing or wrong, or the model fails on it.
    """
    for index, sample in enumerate(samples):
        path = f"model_warmup[{index}]"
        problems = list(_misfits(path, sample, interface))
        if problems:
            raise InvalidConfig(*problems)
        _run(path, sample, session, _feeds(path, sample, interface, np.random.default_rng(index), read))


def _feeds(
    path: str, sample: WarmupSample, interface: Interface, random: np.random.Generator, read: ReadFile
) -> dict[str, Array]:
    filled = {name: _filled(f'{path}.inputs["{name}"]', tensor, random, read) for name, tensor in sample.inputs.items()}
    return {name: interface.to_graph(name, _rows(array, sample, interface)) for name, array in filled.items()}


def _run(path: str, sample: WarmupSample, session: Session, feeds: Mapping[str, Array]) -> None:
    try:
        for _ in range(sample.count):
            session.run(feeds, [spec.name for spec in session.outputs])
    except RunFailed as error:
        raise InvalidConfig(f"{path} ({sample.name!r}): the model failed on it: {error}") from None


def _misfits(path: str, sample: WarmupSample, interface: Interface) -> Iterator[str]:
    specs = {spec.name: spec for spec in interface.inputs}
    for name in sorted(specs.keys() ^ sample.inputs.keys()):
        yield f'{path}.inputs["{name}"] {"is missing" if name in specs else "is not an input of the model"}'
    for name, spec in specs.items():
        tensor = sample.inputs.get(name)
        if tensor is None:
            continue
        dims = spec.shape[1:] if interface.batched else spec.shape
        fits = len(dims) == len(tensor.dims) and all(d in (-1, own) for d, own in zip(dims, tensor.dims, strict=True))
        if not fits or tensor.datatype is not spec.datatype:
            given, taken = f"{tensor.datatype.name} {list(tensor.dims)}", f"{spec.datatype.name} {list(dims)}"
            yield f'{path}.inputs["{name}"] is {given}, the model takes {taken}'


def _rows(array: Array, sample: WarmupSample, interface: Interface) -> Array:
    return np.repeat(array[np.newaxis], sample.batch_size, axis=0) if interface.batched else array


def _filled(path: str, tensor: WarmupInput, random: np.random.Generator, read: ReadFile) -> Array:
    if tensor.filling is Filling.FILE:
        return _from_file(path, tensor, read)
    try:
        return _made_up(tensor, random)
    except (MemoryError, ValueError):
        raise InvalidConfig(f"{path}.dims is {list(tensor.dims)}, more than fits into memory") from None


def _made_up(tensor: WarmupInput, random: np.random.Generator) -> Array:
    if tensor.datatype is DataType.BYTES:
        return np.full(tensor.dims, "", dtype=object)
    if tensor.filling is Filling.ZERO:
        return np.zeros(tensor.dims, tensor.datatype.dtype)
    # Small, so that what looks something up by it finds something.
    return random.integers(0, 2, tensor.dims).astype(tensor.datatype.dtype)


def _from_file(path: str, tensor: WarmupInput, read: ReadFile) -> Array:
    raw = read(tensor.file)
    if raw is None:
        raise InvalidConfig(f"{path}.input_data_file: there is no warmup/{tensor.file}")
    try:
        return from_raw(tensor.datatype, tensor.dims, raw)
    except BadTensorBytes as error:
        raise InvalidConfig(f"{path}.input_data_file: warmup/{tensor.file}: {error}") from None
