"""Settings from words: short names, groups, files, and one sentence for what is wrong."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from cluster.command import run_command
from cluster.config import Config
from cluster.errors import ConfigError, HelpWanted


class Engine(Config):
    """A group of settings."""

    power: float = Field(default=1.0, ge=0, le=10, description="kW")
    fuel: Literal["gas", "wind"] = Field(default="gas", description="what it burns")
    gears: dict[str, float] = Field(default={}, description="by name")


class Car(Config):
    """A whole with a group in it."""

    name: str = Field(description="what it is called")
    doors: int | None = Field(default=None, ge=1, description="empty: any")
    power: int = Field(default=0, description="known to the whole, and to its group")
    engine: Engine = Engine.parse([])


def test_words_fill_settings_of_their_own_types() -> None:
    car = Car.parse(["name=Ada", "doors=3", "engine.power=2.5"])
    assert (car.name, car.doors, car.engine.power) == ("Ada", 3, 2.5)


def test_a_short_name_reaches_into_the_group_that_knows_it() -> None:
    assert Car.parse(["name=x", "fuel=wind"]).engine.fuel == "wind"
    assert Car.path_of("fuel") == ["engine", "fuel"]


def test_the_end_of_a_path_is_enough() -> None:
    class Trip(Config):
        """A group in a group."""

        car: Car

    trip = Trip.parse(["name=x", "engine.power=2"])
    assert trip.car.engine.power == 2
    assert Trip.path_of("engine.power") == ["car", "engine", "power"]


def test_a_name_that_the_whole_knows_is_never_looked_for_in_groups() -> None:
    car = Car.parse(["name=x", "power=3"])
    assert (car.power, car.engine.power) == (3, 1.0)


def test_entries_of_a_mapping_are_named_by_a_dot() -> None:
    assert Car.parse(["name=x", "gears.first=3", "engine.gears.second=2"]).engine.gears == {"first": 3, "second": 2}


@pytest.mark.parametrize("text", ["2024", "007", "on", "null", "a: b", "[", "x # y", ""])
def test_text_is_taken_as_it_stands(text: str) -> None:
    assert Car.parse([f"name={text}"]).name == text


def test_later_words_win_and_words_win_over_the_base() -> None:
    base = {"name": "x", "engine": {"power": 5, "fuel": "wind"}}
    car = Car.parse(["engine.power=6", "engine.power=7"], base)
    assert (car.engine.power, car.engine.fuel) == (7, "wind")
    assert base["engine"] == {"power": 5, "fuel": "wind"}


def test_an_empty_value_is_none() -> None:
    assert Car.parse(["name=x", "doors="], {"doors": 4}).doors is None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("wheels=4", "unknown setting 'wheels'; there are doors, engine, name, power"),
        ("engine.wheels=4", "unknown setting 'engine.wheels'"),
        ("doors=0", "setting doors=0 is wrong: Input should be greater than or equal to 1"),
        ("engine.power=11", "setting engine.power=11 is wrong: Input should be less than or equal to 10"),
        ("doors=many", "setting doors='many' is wrong"),
        ("fuel=coal", "setting engine.fuel='coal' is wrong: Input should be 'gas' or 'wind'"),
        ("doors=[", "cannot read the value of 'doors=\\['"),
        ("doors", "cannot read 'doors'; write settings as key=value"),
        ("=3", "cannot read '=3'"),
        ("name.first=x", "'name.first=x': name is a single value, not a group of settings"),
    ],
)
def test_a_wrong_word_is_answered_by_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        Car.parse(["name=x", word])
    assert "\n" not in str(caught.value)


def test_a_required_setting_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="setting 'name' is required; give it as name="):
        Car.parse([])


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Car.parse(["name=x"]).name = "y"  # pyright: ignore[reportAttributeAccessIssue]


class Sail(Config):
    kind: Literal["sail"] = Field(default="sail", description="by wind")
    masts: int = Field(default=1, description="masts")


class Motor(Config):
    kind: Literal["motor"] = Field(default="motor", description="by fuel")
    power: int = Field(default=10, description="kilowatts")


class Boat(Config):
    drive: Annotated[Sail | Motor, Field(discriminator="kind")] = Sail.parse([])


def test_a_short_name_reaches_into_whichever_kind_knows_it() -> None:
    assert Boat.parse(["drive.kind=motor", "power=3"]).drive == Motor(power=3)
    assert Boat.parse(["kind=sail", "masts=2"]).drive == Sail(masts=2)


def test_a_setting_of_another_kind_is_refused_by_the_name_that_was_written() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'drive.masts'.*there are kind, power"):
        Boat.parse(["kind=motor", "masts=2"])


def test_a_misspelt_setting_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="'drive.powr'; did you mean 'power'"):
        Boat.parse(["kind=motor", "drive.powr=2"])


class Fleet(Config):
    boat: Annotated[Sail | Motor, Field(discriminator="kind")] = Sail.parse([])
    engine: Engine = Engine.parse([])


def test_a_group_that_is_there_comes_before_kinds_that_are_not() -> None:
    assert Fleet.parse(["power=3"]) == Fleet(engine=Engine(power=3))


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_tells_each_setting_with_what_it_is_by_default_and_what_it_means(word: str) -> None:
    with pytest.raises(HelpWanted) as told:
        Car.parse(["wheels=4", word])
    lines = [line.split(maxsplit=1) for line in str(told.value).splitlines()]
    assert ["name=…", "required: what it is called"] in lines
    assert ["doors=", "empty: any"] in lines
    assert ["engine.power=1.0", "kW"] in lines
    assert len(lines) == 6


def test_a_command_asked_for_help_ends_well_and_does_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: Car.parse(["help"]) and pytest.fail("it went on")) == 0
    assert "what it is called" in capsys.readouterr().out
