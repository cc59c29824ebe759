"""The one error that means the user's input, not our code, must change."""


class InputError(Exception):
    """Wrong use or wrong input.

    The message is one sentence that says what is wrong, where, and what to do. The command line prints it without a
    traceback and exits with code 2; any other exception is a fault of ours and exits with 1.
    """
