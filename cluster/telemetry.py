"""The only place that configures logging."""

import logging
import sys


def configure_logging(level: str = "INFO") -> None:
    """Send log lines of every package to standard error, once."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    for chatty in ("fsspec", "matplotlib", "urllib3", "pandera", "ray.serve"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)  # it comments on each checkpoint
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it comments on each step of a start
