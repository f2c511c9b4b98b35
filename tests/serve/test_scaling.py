"""What Ray Serve is told of how many gateways there shall be."""

import pytest
from ray.serve.config import AutoscalingConfig

from cluster.errors import ConfigError
from serve.config import AppArgs
from serve.scaling import ScalingConfig


@pytest.mark.parametrize("most", [None, 3])
def test_without_a_higher_number_there_are_always_as_many(most: int | None) -> None:
    assert ScalingConfig.parse([]).options(3, most) == {"num_replicas": 3}


def test_between_two_numbers_the_load_decides() -> None:
    args = AppArgs.parse(["replicas=1", "max_replicas=4", "in_hand=5", "down_after_s=9"])
    found = AutoscalingConfig(**args.scaling.options(args.replicas, args.max_replicas)["autoscaling_config"])
    assert (found.min_replicas, found.max_replicas, found.target_ongoing_requests) == (1, 4, 5)
    assert (found.upscale_delay_s, found.downscale_delay_s) == (0, 9)


def test_fewer_at_most_than_at_least_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_replicas=1 is less than replicas=2"):
        AppArgs.parse(["replicas=2", "max_replicas=1"])
