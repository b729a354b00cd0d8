"""The certificate of the HTTP interface, read again when its files change: a renewal needs no restart."""

import ssl
from pathlib import Path

from importance.errors import InvalidInput


class Certificate:
    """A certificate chain and its unencrypted key, both PEM files, for TLS 1.2 and later.

    Raises InvalidInput when the files cannot be used.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self._read = self._state()
        self.context = self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def refresh(self) -> bool:
        """Use the files for new connections if they have changed; return whether they had.

        Raises InvalidInput when they cannot be used; the certificate of before stays in use then.
        """
        state = self._state()
        if state == self._read:
            return False
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # first into another context: a failure may leave it torn
        self._load(self.context)
        self._read = state
        return True

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            context.load_cert_chain(self._chain, self._key, password="")  # without one OpenSSL would ask the terminal
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"WEIR_API_TLS_CERTIFICATE {self._chain} and WEIR_API_TLS_KEY {self._key} cannot be used: {error}; "
                "they must be PEM files of a certificate and its unencrypted key"
            ) from error
        return context

    def _state(self) -> tuple[int, ...]:
        """Return what changes with the files, also where they are links that a volume of secrets replaces."""
        try:
            return tuple(x for file in (self._chain, self._key) for x in _identity(file))
        except OSError as error:
            raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}; see WEIR_API_TLS_KEY") from error


def _identity(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
