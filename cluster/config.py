"""Settings: frozen, checked, and filled from YAML and `key=value` words."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from cluster.errors import ConfigError, HelpWanted

HELP = frozenset({"help", "--help", "-h"})
LONGEST_NAME = 40  # characters, beyond which what a setting means stands a little to the right


class Config(BaseModel):
    """Base of all settings: frozen, unknown keys refused, each field with its range and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(cls, words: list[str], base: dict[str, Any] | None = None) -> Self:
        """Return settings from a YAML file, named by `config=path` or its bare path, overridden by `key=value` words.

        Without a file, `base` takes its place. Raises HelpWanted where a word asks for help.
        `a.b=1` reaches into the group of settings `a`; plain `b=1` reaches into the first group that knows a `b`.
        """
        if HELP.intersection(words):
            raise HelpWanted(cls.described())
        files = [word.removeprefix("config=") for word in words if cls.names_file(word)]
        if len(files) > 1:
            raise ConfigError(f"one file of settings at a time, not {', '.join(files)}")
        values: dict[str, Any] = read_yaml(Path(files[0])) if files else dict(base or {})
        for word in words:
            if cls.names_file(word):
                continue
            key, separator, text = word.partition("=")
            if not separator or not key:
                raise ConfigError(f"cannot read {word!r}; write settings as key=value, for example epochs=3")
            path = cls.path_of(key)
            _place(values, path, text if cls._holds_text(path) else _plain(text, word), word)
        return cls.checked(values)

    @classmethod
    def names_file(cls, word: str) -> bool:
        """Tell whether a word is the name of a file of settings."""
        return word.startswith("config=") or ("=" not in word and word.endswith((".yaml", ".yml")))

    @classmethod
    def path_of(cls, key: str) -> list[str]:
        """Return where a setting lives: "epochs" may be short for ["training", "epochs"], "c.d" for ["b", "c", "d"]."""
        words = key.split(".")
        for path, field in cls._single_settings():
            if path[-len(words) :] == words:
                return path
            if path[-1] == words[0] and get_origin(field.annotation) is dict:
                return [*path, *words[1:]]
        return words

    @classmethod
    def described(cls) -> str:
        """Return a line for each setting: its name, what it is without a word of it, and what it means."""
        told = [
            (f"{'.'.join(path)}={_told(field)}", field.description or "", field.is_required())
            for path, field in cls._single_settings()
        ]
        width = min(LONGEST_NAME, max(len(given) for given, _, _ in told))
        return "\n".join(
            f"  {given:<{width}}  {'required: ' if needed else ''}{means}" for given, means, needed in told
        )

    @classmethod
    def _holds_text(cls, path: list[str]) -> bool:
        """Return whether a setting is text, which is taken as it stands: data=2024 names a folder, no number."""
        return any(known == path and field.annotation is str for known, field in cls._single_settings())

    @classmethod
    def _single_settings(cls) -> Iterator[tuple[list[str], FieldInfo]]:
        """Yield the path and field of every single setting, those of the whole before those of its groups.

        Where a group is one of several kinds, the first kind stands in its place and the others come last of all.
        """
        groups = {}
        for name, field in cls.model_fields.items():
            groups[name] = _single_groups_in(field.annotation)
            if not groups[name]:
                yield [name], field
        first = [(name, group) for name, kinds in groups.items() for group in kinds[:1]]
        others = [(name, group) for name, kinds in groups.items() for group in kinds[1:]]
        for name, group in first + others:
            yield from (([name, *path], field) for path, field in group._single_settings())

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Return settings from plain values, or one sentence that names the wrong one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read settings from {path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not {type(values).__name__}")
    return values


def _told(field: FieldInfo) -> str:
    """Return what a setting is by default, as one would write it; `…` where there is no default."""
    if field.is_required():
        return "…"
    value = field.get_default(call_default_factory=True)
    return "" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def _plain(text: str, word: str) -> Any:
    try:
        return yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        raise ConfigError(
            f"cannot read the value of {word!r}; write it as YAML does, with quotes around text"
        ) from None


def _place(values: dict[str, Any], keys: list[str], value: Any, word: str) -> None:
    for key in keys[:-1]:
        branch = values.get(key, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"{word!r}: {key} is a single value, not a group of settings")
        values[key] = dict(branch)
        values = values[key]
    values[keys[-1]] = value


def _groups_in(annotation: Any) -> list[type[Config]]:
    """Return the groups of settings that a field may hold: none, one, or one per kind."""
    members = get_args(annotation) or (annotation,)
    return [member for member in members if isinstance(member, type) and issubclass(member, Config)]


def _single_groups_in(annotation: Any) -> list[type[Config]]:
    """Return the same, but nothing for a list of groups, none of which a short name can mean."""
    return [] if get_origin(annotation) in (list, tuple) else _groups_in(annotation)


def _sentence(cls: type[Config], error: ValidationError) -> str:
    first = error.errors()[0]
    group, path = _owner(cls, first["loc"])
    name = ".".join(path) or cls.__name__
    if first["type"] == "extra_forbidden":
        known = sorted(group.model_fields)
        near = get_close_matches(path[-1], [*known, *(path[-1] for path, _ in group._single_settings())], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown setting {name!r}; {hint}there are {', '.join(known)}"
    if first["type"] == "missing":
        return f"setting {name!r} is required; give it as {name}=…"
    return f"setting {name}={first['input']!r} is wrong: {first['msg']}"


def _owner(cls: type[Config], location: tuple[int | str, ...]) -> tuple[type[Config], list[str]]:
    """Return the group that holds a wrong setting, and the setting's path without the kinds that pydantic puts in."""
    path: list[str] = []
    kinds: dict[str, type[Config]] = {}
    for part in location:
        if part in kinds:
            cls, kinds = kinds[str(part)], {}
            continue
        path.append(str(part))
        field = cls.model_fields.get(str(part))
        groups = _groups_in(field.annotation) if field else []
        if len(groups) == 1:
            cls = groups[0]
        kinds = {str(group.model_fields["kind"].default): group for group in groups if "kind" in group.model_fields}
    return cls, path


def listed(text: str) -> list[str]:
    """Return what stands between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]
