"""How every command of ours ends: with an exit code, and in one sentence when something is wrong."""

from collections.abc import Callable, Mapping

from rich.console import Console

from cluster.errors import HelpWanted, LiveshelfError
from cluster.telemetry import configure_logging

FAILED, USAGE, INTERRUPTED = 1, 2, 130

Command = Callable[[list[str]], None]  # takes the words after its name


def run_one_of(commands: Mapping[str, Command], words: list[str], program: str) -> int:
    """Run the command that the first word names, or print what there is; return the exit code."""
    if not words or words[0] not in commands:
        say(f"usage: {program} <command> key=value …")
        for name, command in commands.items():
            say(f"  {name:<12} {command.__doc__}")
        say(f"what a command can be told: {program} <command> --help")
        return USAGE
    return run_command(lambda: commands[words[0]](words[1:]))


def run_command(work: Callable[[], int | None]) -> int:
    """Do the work and return its exit code, or that of the error that ended it."""
    try:
        configure_logging("WARNING")
        return work() or 0
    except HelpWanted as help:
        say(str(help))
        return 0
    except (LiveshelfError, OSError) as error:
        complain(f"error: {error}")
        return FAILED
    except (KeyboardInterrupt, SystemExit):  # Ray Train turns Ctrl-C into an exit
        complain("interrupted; the same command goes on from where it was")
        return INTERRUPTED


def say(text: str) -> None:
    """Print a line as it is, however long."""
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line to standard error."""
    Console(stderr=True).print(text, style="red", highlight=False, markup=False, soft_wrap=True)
