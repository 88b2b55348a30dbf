"""Our files in the runtimes of others. `make test-interop` installs those, and runs these; an hour on two cores."""

from __future__ import annotations

import pytest

from tests.interop.cells import Files, ask, cells
from tests.interop.known import known
from tests.interop.runtimes import Runtime

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def named(runtime: Runtime, layout: str, network: str) -> str:
    return f"{network}-{layout}-{runtime.name}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("interop"))


@pytest.mark.parametrize(("runtime", "layout", "network"), [pytest.param(*one, id=named(*one)) for one in cells()])
def test_a_file_is_read(runtime: Runtime, layout: str, network: str, files: Files) -> None:
    if why := runtime.missing():
        pytest.skip(why)
    cell = ask(runtime, *files.make(network, layout))
    fails = known(runtime.name, layout, network)
    if fails:
        assert not cell.agrees, f"{runtime.title} reads it now, to {cell.difference}: take the row out of known.py"
    else:
        assert cell.agrees, cell
