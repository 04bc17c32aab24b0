"""TLS for DICOM, in and out: PS3.15 annex B, the profiles that follow BCP 195 (RFC 9325).

TLS 1.2 and later, ephemeral keys and authenticated encryption only. Who connects to the node shows a certificate unless
the configuration says otherwise; the node shows its own in both directions.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from node.domain.settings import TlsSettings
from node.errors import ConfigError, Problem

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP"
"""Of TLS 1.2, by RFC 9325 section 4.2; those of TLS 1.3 are all fit."""
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return what the listener needs. Raises ``ConfigError`` when certificate, key or authorities cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, settings)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.verify_mode = ssl.CERT_REQUIRED if settings.client_certificates else ssl.CERT_NONE
    return context


def client_context(settings: TlsSettings, *, check_host: bool = True) -> ssl.SSLContext:
    """Return what a connection to a destination needs: its certificate is always verified.

    ``check_host``: also that it was made for the host name or address connected to. Raises ``ConfigError``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _prepare(context, settings)
    context.check_hostname = check_host
    return context


def _prepare(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.set_ciphers(CIPHERS)
    _load("tls.certificate", settings.certificate, lambda: context.load_cert_chain(settings.certificate, settings.key))
    if settings.authorities is None:
        context.load_default_certs()
        return
    authorities = settings.authorities
    _load("tls.authorities", authorities, lambda: context.load_verify_locations(authorities))


def _load(key: str, path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except ssl.SSLError as error:
        problem = Problem(str(path), key, f"cannot be used ({error.reason or 'not PEM'}).", _REMEDY)
        raise ConfigError((problem,)) from error
    except OSError as error:
        raise ConfigError((Problem(str(path), key, f"cannot be read ({error.strerror})."),)) from error


_REMEDY = "PEM files are needed: the certificate with its intermediates, and the unencrypted key that belongs to it."
