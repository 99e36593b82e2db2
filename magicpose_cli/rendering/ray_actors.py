"""Workers as actors of a Ray cluster.

Every node needs this package and, unless the model is the embedded one, the model's folder at the
same path (shared storage). The parent alone reads the input and writes the output.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from magicpose_cli.errors import ConfigError, DeviceError
from magicpose_cli.rendering.worker import Reply, Worker


class Actors:
    """`size` actors that can be sent one task each at a time; size 0 is one a GPU, or one.

    address: of the cluster, "auto" for the one this machine belongs to, "local" to start one here.
    on_gpu: whether an actor takes a GPU; None decides by what the cluster has.
    """

    def __init__(self, size: int, address: str, on_gpu: bool | None):
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "--ray needs the package ray, which is not installed; run: "
                "pip install 'magicpose[ray]'"
            ) from error
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        self.on_gpu = gpus > 0 if on_gpu is None else on_gpu
        self.size = size or max(1, gpus)
        self._kind: Any = ray.remote(num_cpus=1, num_gpus=1 if self.on_gpu else 0, max_restarts=0)(
            Worker
        )
        self._workers: list[Any] = [self._kind.remote(1) for _ in range(self.size)]
        self._tasks: dict[Any, int] = {}

    def restart(self, number: int) -> None:
        """A new actor, wherever there is room, in place of one that was lost."""
        self._ray.kill(self._workers[number])
        self._workers[number] = self._kind.remote(1)

    def send(self, number: int, task: str, *arguments: Any) -> None:
        """Give a worker without a task one; a lost one says so in `wait`."""
        self._tasks[self._workers[number].do.remote(task, *arguments)] = number

    def wait(self, numbers: Sequence[int], *, block: bool = True) -> list[tuple[int, Reply]]:
        """The replies of those of these workers that have ended their tasks, see `WorkerGroup`."""
        asked = [task for task, number in self._tasks.items() if number in numbers]
        ended, _ = self._ray.wait(asked, num_returns=1, timeout=None if block else 0)
        return [(self._tasks.pop(task), self._received(task)) for task in ended]

    def _received(self, task: Any) -> Reply:
        from ray.exceptions import RayActorError

        try:
            reply: Reply = self._ray.get(task)
            return reply
        except RayActorError:
            return Reply("lost")

    def close(self) -> None:
        """End all actors, and the cluster where it was started here."""
        for worker in self._workers:
            self._ray.kill(worker)
        if self._ours:
            self._ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == "local":
            ray.init(include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DeviceError(
            f"--ray {address}: no cluster can be reached ({str(error).splitlines()[0]}); expected "
            "its address, auto on a machine that belongs to one, or local"
        ) from error
