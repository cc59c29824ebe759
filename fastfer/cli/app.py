"""Parses the arguments, runs the verb, and turns errors into one line and an exit code."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from rich.text import Text

from fastfer.cli import analysis, compare, data, dataset, records, results, runs, study, train
from fastfer.cli.console import ERR
from fastfer.cli.verbs import Verb
from pipelines.errors import InputError

VERBS: Final[tuple[Verb, ...]] = (
    *dataset.VERBS,
    *data.VERBS,
    *records.VERBS,
    *analysis.VERBS,
    *train.VERBS,
    *runs.VERBS,
    *compare.VERBS,
    *study.VERBS,
    *results.VERBS,
)
UNWRITABLE: Final = {
    *(errno.ENOSPC, errno.EDQUOT),  # no room
    *(errno.EACCES, errno.EROFS),  # no right
    *(errno.EISDIR, errno.EEXIST, errno.ENOTDIR),  # a folder where a file shall be, or a file where a folder
    errno.ENAMETOOLONG,
}
WRONG_USE: Final = 2
INTERRUPTED: Final = 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        fail(f"{message} (`{self.prog} --help` shows how it is used)")


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with code 2."""
    ERR.print(Text(f"fastfer: {message}"), soft_wrap=True)
    sys.exit(WRONG_USE)


def parser(
    table: Sequence[Verb] = VERBS,
    *,
    prog: str = "fastfer",
    description: str = "Facial-expression-recognition studies on RAF-DB and ExpW.",
) -> argparse.ArgumentParser:
    """The command line of a table of verbs."""
    top = Parser(prog=prog, description=description)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="verb", parser_class=Parser)
    for verb in table:
        sub = verbs.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.summary,
            epilog="examples:\n" + "\n".join(f"  {line}" for line in verb.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in verb.options:
            option.add_to(sub)
    return top


def _joined(argv: Sequence[str]) -> list[str]:
    """`shards inspect ...` as the one verb that it is."""
    two = " ".join(argv[:2])
    return [two, *argv[2:]] if two in {verb.name for verb in VERBS} else list(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run `fastfer`."""
    run_verb(parser(), VERBS, _joined(sys.argv[1:] if argv is None else argv))


def run_verb(command_line: argparse.ArgumentParser, table: Sequence[Verb], argv: Sequence[str]) -> None:
    """Run the verb that `argv` names. Exit codes: 0 done; 2 wrong use or input; 1 a fault of ours; 130 stopped."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing half is left behind
    try:
        arguments = command_line.parse_args(argv)
        run: Callable[[argparse.Namespace], None] = next(verb.run for verb in table if verb.name == arguments.verb)
        run(arguments)
    except InputError as error:
        fail(" ".join(str(error).split()))
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        what = f"cannot write {error.filename or 'the output'}: {error.strerror}"
        fail(f"{what}; put that right, then give the same command again")
    except KeyboardInterrupt:
        ERR.print("fastfer: stopped; the same command goes on where it can")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
