"""A shop's data without each shopper's last item, for sweeps that must not see what `bench.accuracy` asks.

python -m bench.hide_last data=<folder, file or loader's name> out=var/hidden/beauty
"""

import sys
from pathlib import Path

from pydantic import Field

from bench.comparison.held_out import hide_last
from cluster.command import run_command, say
from train.data.source import DataConfig, prepare_data


class HideConfig(DataConfig):
    """What is read, and where it goes."""

    out: str = Field(description="new folder for the prepared data")


def hide(config: HideConfig) -> None:
    """Write prepared data that any command takes."""
    hide_last(prepare_data(config), max_users=1, seed=0).visible.save(Path(config.out))
    say(f"prepared data: {config.out}")


if __name__ == "__main__":
    sys.exit(run_command(lambda: hide(HideConfig.parse(sys.argv[1:]))))
