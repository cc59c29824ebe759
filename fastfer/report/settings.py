"""Settings and environments of runs: what they share is told once, what differs with each run."""

from collections.abc import Mapping, Sequence
from typing import Any


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of text: `{"a": {"b": None}}` becomes `{"a.b": "none"}`."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _text(value)
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return str(value)


def split_shared(every: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Part what all mappings say alike from what each says of its own.

    Returns:
        The shared items, and for each mapping the rest of its items.
    """
    first = every[0] if every else {}
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in every)}
    return shared, [{key: value for key, value in one.items() if key not in shared} for one in every]
