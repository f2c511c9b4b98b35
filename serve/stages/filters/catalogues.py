"""Catalogues as filters: a list of one catalogue is a list of what is in it."""

from cluster.errors import UnprocessableError
from serve.stages.filters.expression import Expression
from serve.stages.filters.language import parse
from serve.state.membership import Membership


def within(catalogue: str, membership: Membership) -> Expression | None:
    """Return what holds for the items of a catalogue alone, nothing where there are no others.

    It is the same object for every request, whose mask is kept. Raises UnprocessableError where it does not exist.
    """
    if catalogue not in membership:
        raise UnprocessableError(membership.lacks(catalogue))
    return None if membership.is_whole(catalogue) else parse(f"catalogue = '{catalogue}'")
