"""A rollout: another bundle is served, by a process that outlives the replicas which it replaces."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cluster.errors import LiveshelfError
from cluster.telemetry import configure_logging
from serve.config import StartArgs
from serve.state.operations import Operation, problem_of
from train.bundle_state import check_bundle
from train.registry import Registry

log = logging.getLogger(__name__)

CALL_S, RETRY_S = 10.0, 1.0

Deploy = Callable[[StartArgs], None]
DeployMoved = Callable[[StartArgs, str, str], None]  # how the server runs, who goes over, and to which bundle


class Rollout:
    """An actor that does one thing and ends; Ray starts it again where it is killed before, and it does the same."""

    def __init__(
        self, deploy: DeployMoved, leave: Callable[[str], None], operation: Operation, args: StartArgs, store: Any,
        tenant: str = "",
    ) -> None:  # fmt: skip
        """Carry a tenant's operation out and tell the actor behind the handle `store`, its own, how it ended."""
        configure_logging("WARNING", "rollout")
        problem = None
        try:
            go_over(lambda own: deploy(args, tenant, own.bundle), operation.target, args.of(tenant))
        except Exception as error:  # whatever it is, who asks shall be told
            log.exception("operation=%s failed", operation.id)
            problem = problem_of(error)
        done = {} if problem else {"version": operation.target}
        while not _told(store, operation.id, done, problem):
            time.sleep(RETRY_S)
        leave(operation.id)


def go_over(deploy: Deploy, version: str, args: StartArgs) -> None:
    """Serve a bundle and make it the current one; where that fails all is as it was, and the error is raised.

    args: of the shop, as it is served now.
    """
    registry = Registry(args.registry)
    check_bundle(registry.folder(version))  # before anything is changed for one that is damaged
    try:
        deploy(args.model_copy(update={"bundle": version}))
    except LiveshelfError:
        with suppress(LiveshelfError):  # the first one says more
            deploy(args)
        raise
    registry.promote(version)


def _told(store: Any, *ended: Any) -> bool:
    try:
        store.end_operation.remote(*ended).future().result(CALL_S)
    except Exception as error:  # whatever Ray raises: the store is being started again
        log.warning("the end of an operation is not told yet error=%s", error)
        return False
    return True
