"""The command `darknet-compat`, also as `python -m darknet_compat`."""

from __future__ import annotations

import gc
import sys

_NEEDED = {"typer", "rich", "click"}


def main() -> None:
    """Run the command line, or say in one line which extra brings it.

    Reading files needs numpy alone, so an installation without typer is a healthy one that merely has no command line.
    """
    gc.set_threshold(50_000)  # what is imported stays: to look through it again and again takes a tenth of the start
    if sys.argv[1:2] == ["darknet"]:  # which needs neither typer nor the time that it takes
        from darknet_compat.cli.darknet.main import main as darknet

        darknet(sys.argv[2:])
    if sys.argv[1:2] in (["detect"], ["classify"]):
        from darknet_compat.cli.direct import direct

        if (code := direct(sys.argv[1:])) is not None:
            raise SystemExit(code)
    try:
        from darknet_compat.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print(
            f"darknet-compat: the command line needs {error.name}; pip install 'darknet-compat[torch]' brings it"
            " with all that detect and classify need, 'darknet-compat[cli]' brings it alone",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # the commands handle it themselves, as soon as they are there
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
