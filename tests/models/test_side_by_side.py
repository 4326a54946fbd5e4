"""Parts of a measurement are computed side by side, and the number of threads changes nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from repr_toolkit.models.autoencoder import EncoderDecoder
from repr_toolkit.models.side_by_side import side_by_side
from repr_toolkit.support.processes import CPU
from toys.decoders import Independent


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
        assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


def test_results_come_in_order_from_threads_that_share_no_operation() -> None:
    together = threading.Barrier(3, timeout=60)

    def work(part: int) -> tuple[int, int, bool, bool]:
        together.wait()
        modes = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        return part, torch.get_num_threads(), *modes

    with threads(3), torch.autocast("cpu", torch.bfloat16):
        results = [*side_by_side(work, range(9), CPU)]
    assert results == [(part, 1, True, False) for part in range(9)]


def test_parts_are_read_as_they_are_needed() -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(9):
            taken.append(part)
            yield part

    with threads(4):
        results = side_by_side(lambda part: part, parts(), CPU, most=2)
        assert next(results) == 0
        assert taken == [0, 1, 2]
        results.close()


def test_an_error_of_a_part_ends_all() -> None:
    def work(part: int) -> int:
        return 1 // (part - 2)

    with threads(2), pytest.raises(ZeroDivisionError):
        list(side_by_side(work, range(100), CPU))


def test_validation_measures_parts_whatever_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = EncoderDecoder(None, Independent((1, 4, 4), 0, 9), micro_batch=3).eval()
    batch = {"image": torch.arange(7 * 16).remainder(9).to(torch.uint8).view(7, 1, 4, 4)}
    sizes: list[int] = []
    log_prob = model.decoder.log_prob

    def noting(x: Tensor, h: Tensor | None = None, *, noise: Tensor | None = None) -> Tensor:
        sizes.append(len(x))
        return log_prob(x, h, noise=noise)

    monkeypatch.setattr(model.decoder, "log_prob", noting)
    bits = []
    for count in (1, 2):
        with threads(count), torch.no_grad():
            bits.append(model.bits_per_dim(batch))
    assert sorted(sizes) == [1, 1, 3, 3, 3, 3]
    assert torch.equal(*bits)
    whole = EncoderDecoder(None, model.decoder).bits_per_dim(batch)
    torch.testing.assert_close(bits[0], whole)
