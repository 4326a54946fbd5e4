"""How errors say what to set: as options of the command line, or as Python's arguments."""

from contextvars import ContextVar

_options: ContextVar[bool] = ContextVar("options", default=False)


def speak_options() -> None:
    """From now on, in this context, errors name options of the command line."""
    _options.set(True)


def either(option: str, argument: str) -> str:
    """An option for whoever gave a command, an argument for whoever called a function.

    >>> either("--image-size 224", "image_size=224")
    'image_size=224'
    """
    return option if _options.get() else argument
