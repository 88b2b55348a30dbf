"""A simulated GPU."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.runtime.simulation import Driver, Left, build_driver, use_version


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The simulated CUDA driver, off until it is turned `on`."""
    return build_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def gpu(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """A simulated GPU with the newest TensorRT; everything has to be given back when the test ends."""
    use_version(monkeypatch)
    with driver.on():
        yield driver
        gc.collect()
        assert driver.left() == Left(0, 0, 0, 0, 0, 0)
        assert driver.library.sim_depth() == 0
