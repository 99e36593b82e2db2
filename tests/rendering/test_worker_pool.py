"""Several workers make what one process makes, byte for byte, even where some are killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import psutil
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, DeviceError, ModelError
from magicpose_cli.rendering.local import Renderer, load_model
from magicpose_cli.rendering.worker_pool import WorkerPool

SIZE = 3
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


@pytest.fixture(scope="module")
def preset(tiny_model):
    return Preset().with_options(
        model__name=str(tiny_model), model__device="cpu", model__batch_size=SIZE
    )


@pytest.fixture(scope="module")
def reference():
    return np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def batches():
    return np.random.default_rng(0).integers(0, 255, (7, SIZE, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def alone(preset, reference, batches):
    """What a single process makes."""
    return list(Renderer(load_model(preset), reference, preset).render(batches))


@pytest.fixture(scope="module")
def pool(preset):
    with WorkerPool(preset, count=2) as pool:
        yield pool


def same(made, truth):
    return len(made) == len(truth) and all(map(np.array_equal, made, truth))


def workers():
    """The processes of all pools, the newest last: process ids begin anew at some time."""
    own = [psutil.Process(child.pid) for child in multiprocessing.active_children()]
    return sorted(own, key=lambda child: child.create_time())


@pytest.mark.slow
def test_two_processes_make_what_one_makes(pool, preset, reference, batches, alone):
    assert pool.set_reference(reference, preset, 21) == SIZE
    assert same(list(pool.render(batches)), alone)
    assert pool.notes == []


@pytest.mark.slow
def test_pictures_to_begin_from_travel_with_the_maps(pool, preset, reference, batches, alone):
    preset = preset.with_options(sampling__start_from_warp=0.5)
    both = np.concatenate([batches[:3], batches[3:6]], axis=-1)
    truth = list(Renderer(load_model(preset), reference, preset).render(both))
    pool.set_reference(reference, preset, 9)
    assert same(list(pool.render(both)), truth)
    assert not same(truth, alone[:3])


@pytest.mark.slow
def test_another_reference_on_the_loaded_models(pool, preset, reference, batches, alone):
    pool.set_reference(255 - reference, preset, 3)
    [other] = pool.render(batches[:1])
    assert not np.array_equal(other, alone[0])
    pool.set_reference(reference, preset, 21)
    assert same(list(pool.render(batches[:1])), alone[:1])


@pytest.mark.slow
def test_the_source_is_read_as_it_is_needed(pool, preset, reference, batches):
    taken = []

    def source():
        for i in range(100):
            taken.append(i)
            yield batches[0]

    pool.set_reference(reference, preset, 300)
    frames = pool.render(source())
    next(frames)
    assert len(taken) <= 1 + 2 * 2 + 2
    frames.close()


@pytest.mark.slow
def test_a_stopped_run_does_not_mix_with_the_next(pool, preset, reference, batches, alone):
    pool.set_reference(reference, preset, 21)
    frames = pool.render(255 - batches)
    next(frames)
    frames.close()
    pool.set_reference(reference, preset, 21)
    assert same(list(pool.render(batches)), alone)


@pytest.mark.slow
def test_a_killed_worker_is_replaced(pool, preset, reference, batches, alone):
    pool.set_reference(reference, preset, 21)

    def source():
        for i, batch in enumerate(batches):
            if i == 3:
                os.kill(workers()[0].pid, signal.SIGKILL)
            yield batch

    assert same(list(pool.render(source())), alone)
    assert any("was lost" in note for note in pool.notes)


@pytest.mark.slow
def test_a_batch_that_kills_its_workers_ends_the_run(preset, reference, batches, alone):
    """Everything before it comes; the line names it."""
    with WorkerPool(preset, count=1) as pool:
        pool.set_reference(reference, preset, 21)
        send = pool._group.send

        def deadly(number, task, *arguments):
            send(number, task, *arguments)
            if task == "make" and np.array_equal(arguments[0], batches[2]):
                os.kill(workers()[-1].pid, signal.SIGKILL)

        pool._group.send = deadly
        made = []
        with pytest.raises(DeviceError, match="batch 2 of the frames has ended 3 workers"):
            made.extend(frames for frames in pool.render(batches))
    assert same(made, alone[:2])
    assert not workers() or len(workers()) == 2  # those of the shared pool alone


@pytest.mark.slow
def test_mistakes_reach_the_parent_as_they_are(pool, preset, reference, batches):
    pool.set_reference(reference, preset, 21)
    with pytest.raises(RuntimeError, match="Traceback"):
        list(pool.render([batches[0][:, :, :32]]))
    nowhere = preset.with_options(model__name="nowhere")
    with WorkerPool(nowhere, count=1) as other, pytest.raises(ModelError, match="nowhere"):
        other.set_reference(reference, nowhere, 3)
    with pytest.raises(ConfigError, match="cuda:7"):
        WorkerPool(preset, devices=("cpu", "cuda:7"))
    with pytest.raises(ConfigError, match="exclude each other"):
        WorkerPool(preset, devices=("cpu",), ray="auto")


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(preset):
    code = (
        "import sys, time\n"
        "from magicpose_cli.config.preset import Preset\n"
        "from magicpose_cli.rendering.worker_pool import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(Preset().with_options(model__device='cpu'), count=1)\n"
        "    print(pool._group._workers[0][0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(1)
        parent.kill()
    worker.wait(20)


@needs_ray
@pytest.mark.slow
def test_two_ray_actors_make_what_one_process_makes(preset, reference, batches, alone):
    import ray

    ray.init(
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
    )
    try:
        with WorkerPool(preset, count=2, ray="auto") as pool:
            pool.set_reference(reference, preset, 21)

            def source():
                for i, batch in enumerate(batches):
                    if i == 3:
                        ray.kill(pool._group._workers[0])
                    yield batch

            assert same(list(pool.render(source())), alone)
            assert any("was lost" in note for note in pool.notes)
    finally:
        ray.shutdown()


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_line_says_how_to_get_it(preset):
    with pytest.raises(ConfigError, match=r"magicpose\[ray\]"):
        WorkerPool(preset, count=1, ray="local")
