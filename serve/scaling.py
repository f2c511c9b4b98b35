"""How many gateways: always as many, or between two numbers as many as the load needs."""

from typing import Any

from pydantic import Field

from cluster.config import Config

MEASURED_EVERY_S = 0.5


class ScalingConfig(Config):
    """When gateways come and go, where there may be more of them under load; one takes some seconds to come."""

    in_hand: float = Field(8, gt=0, description="requests that each gateway shall have in hand, on average")
    look_back_s: float = Field(2, gt=0, description="over which requests in hand are averaged")
    up_after_s: float = Field(0, ge=0, description="for how long more gateways must be wanted")
    down_after_s: float = Field(5, ge=0, description="for how long fewer gateways must be wanted")

    def options(self, least: int, most: int | None) -> dict[str, Any]:
        """Return what Ray Serve is told of a deployment; most: None where there are always `least`."""
        if most is None or most == least:
            return {"num_replicas": least}
        return {"autoscaling_config": {
            "min_replicas": least, "max_replicas": most, "target_ongoing_requests": self.in_hand,
            "metrics_interval_s": MEASURED_EVERY_S, "look_back_period_s": self.look_back_s,
            "upscale_delay_s": self.up_after_s, "downscale_delay_s": self.down_after_s,
        }}  # fmt: skip
