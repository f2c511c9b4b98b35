"""Small languages: what their readers have in common, such as saying where reading stopped and what may stand there."""

from collections.abc import Mapping

from lark import Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from cluster.errors import UnprocessableError


class UnreadableError(UnprocessableError):
    """A text that cannot be read; `position` counts its characters from 1."""

    field = "text"

    def __init__(self, detail: str, position: int) -> None:
        super().__init__(f"{self.field}, character {position}: {detail}")
        self.errors = [{"pointer": f"/{self.field}", "detail": detail, "position": position}]


def position_of(text: str, error: UnexpectedInput) -> int:
    """Return the character, counted from 1, where reading stopped."""
    is_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    return len(text) + 1 if is_end else (error.pos_in_stream or 0) + 1


def sentence_of(text: str, error: UnexpectedInput, spelled: Mapping[str, str], remedy: str) -> str:
    """Return what is wrong there; spelled: terminals as the user knows them; remedy: for a character of no terminal."""
    if isinstance(error, UnexpectedCharacters):
        return f"{text[position_of(text, error) - 1]!r} means nothing here; {remedy}"
    token, expected = (error.token, error.expected) if isinstance(error, UnexpectedToken) else (Token("$END", ""), ())
    wanted = sorted(spelled.get(name, name.lower()) for name in expected)
    met = "the end" if token.type == "$END" else repr(str(token))
    return f"{met} stands where {', '.join(wanted)} may stand"
