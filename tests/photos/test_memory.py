"""Photos share a budget of memory, however many workers there are and however large the photos."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from facesets.photos.decoder_pool import DecoderPool
from facesets.photos.memory import MemoryBudget
from facesets.photos.pixels import Pixels


class Holder(threading.Thread):
    """Takes room, and keeps it until it is told."""

    def __init__(self, room: MemoryBudget, given: int, besides: int = 0) -> None:
        super().__init__(daemon=True)
        self.room, self.given, self.besides = room, given, besides
        self.has, self.enough = threading.Event(), threading.Event()

    def run(self) -> None:
        with self.room.reserved(self.given, self.besides) as result:
            result.append(np.zeros(1, np.uint8))
        self.has.set()
        self.enough.wait(60)
        del result

    def waits(self) -> bool:
        return not self.has.wait(0.2)

    def leave(self) -> None:
        self.enough.set()
        self.join(60)


def holding(room: MemoryBudget, given: int, besides: int = 0) -> Holder:
    holder = Holder(room, given, besides)
    holder.start()
    return holder


def test_who_comes_when_the_room_is_full_waits_until_pixels_are_dropped() -> None:
    room = MemoryBudget(100)
    first, second = holding(room, 60), holding(room, 40)
    assert first.has.wait(60)
    assert second.has.wait(60)
    third = holding(room, 30)
    assert third.waits()
    second.leave()
    assert third.has.wait(60)


def test_what_the_decoder_alone_needs_is_free_once_it_is_through() -> None:
    room = MemoryBudget(100)
    assert holding(room, 30, 70).has.wait(60)
    assert holding(room, 10, 60).has.wait(60)
    assert room._held.total() == 40


def test_a_photo_may_be_larger_than_the_room_if_it_is_alone() -> None:
    room = MemoryBudget(100)
    huge = holding(room, 500)
    assert huge.has.wait(60)
    small = holding(room, 1)
    assert small.waits()
    huge.leave()
    assert small.has.wait(60)


def test_a_large_photo_is_not_passed_by_small_ones_for_ever() -> None:
    room = MemoryBudget(100)
    first = holding(room, 60)
    assert first.has.wait(60)
    large = holding(room, 90)
    assert large.waits()
    small = holding(room, 10)  # there would be room for it
    assert small.waits()
    first.leave()
    assert large.has.wait(60)
    assert small.has.wait(60)


def test_who_holds_a_photo_never_waits_for_room() -> None:
    room, kept = MemoryBudget(100), []
    for _ in range(3):
        with room.reserved(80, 10) as result:
            result.append(np.zeros(1, np.uint8))
        kept.append(result)
    assert room._held.total() == 240
    kept.clear()
    del result
    assert room._held.total() == 0


def test_room_is_given_back_when_decoding_fails() -> None:
    room = MemoryBudget(100)
    with pytest.raises(ValueError, match="invalid literal"), room.reserved(60, 30):
        int("what a decoder says")
    assert room._held.total() == 0
    with room.reserved(60, 30):
        assert room._held.total() == 90  # a refusal: no pixels came
    assert room._held.total() == 0


@pytest.mark.slow
def test_many_workers_hold_no_more_than_the_room() -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)).save(out, "JPEG")
    room = MemoryBudget(16 << 20)  # for two
    most: list[int] = []

    def look(decoders: DecoderPool) -> tuple[int, ...]:
        rgb: Pixels = decoders(out.getvalue()).rgb
        most.append(room._held.total())
        return rgb.shape

    with DecoderPool(memory=room) as decoders, ThreadPoolExecutor(6) as pool:
        shapes = list(pool.map(look, [decoders] * 30))
    assert set(shapes) == {(600, 800, 3)}
    assert 0 < max(most) <= 16 << 20
    assert room._held.total() == 0
