# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`~/load_model`: another network, while the present one goes on labelling."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from srkd.errors import ConfigError, SrkdError
from srkd_ros.model import Model, ModelRequest, load_model, path_below
from srkd_ros.msg import ModelInfo
from srkd_ros.srv import LoadModel


class LoadService:
    """Loads aside, in a thread of its own, and then hands the network over in the executor's thread."""

    def __init__(
        self,
        node: Node,
        request: Callable[[], ModelRequest],
        folder: Callable[[], str],
        in_use: Callable[[], Model | None],
        swap: Callable[[Model], ModelInfo],
    ) -> None:
        """
        Args:
            node: that offers the service.
            request: how a network is to run; raises SrkdError where none can be loaded now.
            folder: below which files may be loaded.
            in_use: the network that the node has now.
            swap: takes the new network; raises SrkdError where it cannot.
        """
        self._node = node
        self._request = request
        self._folder = folder
        self._in_use = in_use
        self._swap = swap
        self._threads: list[threading.Thread] = []
        # Its own group: others' callbacks go on while a load waits; loads come one after another.
        group = MutuallyExclusiveCallbackGroup()
        self._service = node.create_service(LoadModel, "~/load_model", self._load, callback_group=group)

    async def _load(self, request: LoadModel.Request, response: LoadModel.Response) -> LoadModel.Response:
        log = self._node.get_logger()
        try:
            path = path_below(self._folder(), request.path)
            wanted = replace(self._request(), checkpoint=str(path), checkpoint_sha256=request.sha256)
            in_use = self._in_use()
            model = await self._aside(wanted)
            if self._in_use() is not in_use:
                raise ConfigError("the node was configured anew while this network was loading: ask again")
            response.model = self._swap(model)
        except Exception as error:  # a service must answer, whatever happens
            reason = " ".join(str(error).split()) or type(error).__name__
            response.message = f"{reason}; the network in use stays"
            log.error(f"load_model failed: {response.message}")
            if not isinstance(error, SrkdError | MemoryError):
                log.error(f"please report this:\n{traceback.format_exc()}")
            return response
        response.success = True
        response.message = f"{path.name} labels from now on, {model.warm_frame_ms:.0f} ms a frame at warm-up"
        log.info(response.message)
        return response

    def _aside(self, wanted: ModelRequest) -> Awaitable[Model]:
        executor = self._node.executor
        future: Future = Future(executor=executor)

        def work() -> None:
            try:
                future.set_result(load_model(wanted))
            except Exception as error:
                future.set_exception(error)
            if executor is not None:
                executor.wake()

        thread = threading.Thread(target=work, name="load_model", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()
        return future

    @property
    def busy(self) -> bool:
        """Whether a network is being loaded."""
        return any(thread.is_alive() for thread in self._threads)
