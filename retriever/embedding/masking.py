"""Secrets kept out of what is said of a provider, and the headers that hold some of them."""

import re
from collections.abc import Mapping

from pydantic import SecretStr

from retriever.errors import SettingsError

LONGEST_QUOTE = 300
"""Characters of a server's message that are passed on."""
HIDDEN = "**********"
URL_CREDENTIALS = re.compile(r"(?<=//)[^/\s]+@")
"""User and password of an address, up to the last @ before its path: a password may hold one."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name: a token of RFC 9110, section 5.1."""
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Mask:
    """Hides secrets wherever they turn up."""

    def __init__(self, *secrets: SecretStr | None) -> None:
        """Hide these; None and empty ones are nothing."""
        self._secrets = [secret for secret in secrets if secret and secret.get_secret_value()]

    def quoted(self, text: str) -> str:
        """The first words of what a server said, without the secrets should they be in there."""
        for secret in self._secrets:
            text = text.replace(secret.get_secret_value(), HIDDEN)
        return text[:LONGEST_QUOTE]

    def cause(self, error: Exception) -> Exception | None:
        """A client's error, to be named as the cause, unless its text would show a secret."""
        shown = f"{error!r} {error}"
        return None if any(one.get_secret_value() in shown for one in self._secrets) else error


def read_headers(headers: Mapping[str, SecretStr]) -> dict[str, str]:
    """Headers as a client sends them.

    Raises:
        SettingsError: a name or a value is none that HTTP can carry. The value is not shown.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"embedding.headers: {name[:60]!r} is no name of a header: letters, digits and "
                "hyphens, such as api-key."
            )
        if not _VALUE.fullmatch(value.get_secret_value()):
            raise SettingsError(
                f"embedding.headers: the value of {name} holds characters that a header cannot "
                "carry. Look for a line break or a letter with an accent in it."
            )
    return {name.title(): value.get_secret_value() for name, value in headers.items()}
