"""Every error a user can meet, each with the HTTP status it becomes."""


class LiveshelfError(Exception):
    """Base of all errors raised on purpose; its text says what was wrong, the value and the remedy."""

    status = 500


class ConfigError(LiveshelfError):
    """A setting is unknown, malformed or out of its range."""

    status = 400


class HelpWanted(Exception):
    """A command's words ask what it can be told; it says that."""


class DataError(LiveshelfError):
    """A file cannot be read, lacks a column, or holds no usable row."""

    status = 422


class LeakageError(DataError):
    """A split lets training see what it is tested on."""


class BundleError(LiveshelfError):
    """A bundle is missing, incomplete or altered."""

    status = 503


class QualityError(LiveshelfError):
    """A bundle recommends worse, or an index finds less, than was allowed; it is not used."""

    status = 422


class StorageError(LiveshelfError):
    """A folder cannot be written, or the disk is full."""

    status = 507


class RequestError(LiveshelfError):
    """A request that cannot be understood."""

    status = 400


class UnauthorizedError(LiveshelfError):
    """Nobody that we know asks."""

    status = 401


class ForbiddenError(LiveshelfError):
    """Whoever asks may not do this."""

    status = 403


class NotFoundError(LiveshelfError):
    """The named thing does not exist."""

    status = 404


class UnprocessableError(LiveshelfError):
    """A well-formed request that means nothing here, such as an event for an item nobody sells."""

    status = 422


class ConflictError(LiveshelfError):
    """The same id was used before with other content."""

    status = 409


class ExpiredError(LiveshelfError):
    """The named thing was there, and is no longer good."""

    status = 410


class PreconditionError(LiveshelfError):
    """The thing is no longer what the caller took it for."""

    status = 412


class TooManyError(LiveshelfError):
    """One caller asks more often than it may."""

    status = 429

    def __init__(self, text: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class UnavailableError(LiveshelfError):
    """The engine cannot answer now; the same call may succeed in a moment."""

    status = 503


class OverloadedError(UnavailableError):
    """More waits already than is answered in time; whoever sends again at once only makes it longer."""


class LogError(LiveshelfError):
    """The event log is missing, damaged, or held by another process."""

    status = 503


class OutOfStepError(UnavailableError):
    """A copy of the live state cannot be carried forward; make it anew from the store's image."""


class WorkerError(LiveshelfError):
    """A process that worked for this one ended before it was done."""


class RuntimeStartError(LiveshelfError):
    """Ray or the server could not be started here."""
