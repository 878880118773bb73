"""What a probe saw on a loop that a crowded machine kept from running: nobody's fault, unless Django guards it."""

import pytest
from asgiscope import recorder
from asgiscope.detection.starvation import OwnUse
from asgiscope.export.resolve.stalls import attributes_of
from asgiscope.records.scope import Operation
from asgiscope.semconv import Starvation

from tests.instrumentation.fake_frames import stack
from tests.instrumentation.watched_loop import HANDLE, HANDLER, MS, VIEW, Scene


def rendered(scene: Scene, ms: int) -> Operation:
    """Return a page that was rendered on the loop until now, for so long."""
    operation = Operation(None, scene.now - ms * MS, "template", "template")
    operation.guarded, operation.on_loop, operation.ended = False, True, scene.now
    scene.recorder.watched = {id(None): scene.watch}  # no loop runs in this thread
    return operation


def test_an_operation_on_a_loop_without_a_processor_blames_nobody(scene: Scene) -> None:
    """A page took 200 ms to render because the machine was crowded: it computed for 4 ms of them."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.02)
        scene.delay += 9 * MS
    scene.recorder.blocked(rendered(scene, 200), False, None)
    (stall,) = scene.sent
    assert stall.starved is Starvation.PROCESSOR
    found = attributes_of(stall)
    assert found["asgiscope.stall.starved_of"] == "processor"
    assert found["asgiscope.stall.scheduler_delay_ns"] > 100 * MS
    assert "code.file.path" not in found


def test_an_operation_that_computes_long_on_a_crowded_machine_blocks_the_loop(scene: Scene) -> None:
    """40 ms of its own are a stall, whatever else it lost."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.2)
        scene.delay += 8 * MS
    operation = rendered(scene, 200)
    scene.recorder.blocked(operation, False, None)
    (stall,) = scene.sent
    assert (stall.starved, stall.work) == (None, operation)


def test_a_guarded_operation_on_a_crowded_machine_stays_a_finding(scene: Scene) -> None:
    """A query on the loop is a mistake however long it takes."""
    for _ in range(20):
        scene.stand(stack(VIEW, HANDLER, HANDLE), 10, cpu=0.02)
        scene.delay += 9 * MS
    scene.recorder.blocked(rendered(scene, 200), True, None)
    (stall,) = scene.sent
    assert stall.starved is None


def test_a_short_operation_that_never_gave_its_processor_up_is_judged_by_its_own_use(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended before the watchdog looked: nothing else was counted."""
    scene.now += 20 * MS
    operation = rendered(scene, 20)
    operation.used = OwnUse(5 * MS, 7)
    for now, starved in (
        (OwnUse(7 * MS, 7), Starvation.PROCESSOR),
        (OwnUse(7 * MS, 8), None),
        (OwnUse(20 * MS, 7), None),
    ):
        scene.sent.clear()
        monkeypatch.setattr(recorder, "own_use", lambda now=now: now)
        scene.recorder.blocked(operation, False, None)
        assert [stall.starved for stall in scene.sent] == [starved]
