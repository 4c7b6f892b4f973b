# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of data-loader workers: carried over as values and raised here, in the one line that they were.

An exception that leaves a worker reaches the parent as another one whose message is the whole traceback.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from torch.utils.data import Dataset

from srkd.errors import SrkdError

T = TypeVar("T")


class Carrying(Dataset[Any]):
    """A data set, of any length, whose errors come as items."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.items[index]
        except SrkdError as error:
            return error


class Raising(Iterator[T]):
    """The items of a loader of such a data set.

    Raises:
        SrkdError: the first that comes instead of an item.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    def __next__(self) -> T:
        item = next(self._items)
        if isinstance(item, SrkdError):
            raise item
        return item  # type: ignore[no-any-return]
