"""Self-made certificates for tests of TLS, by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from node.domain.settings import TlsSettings
from tests.peers import peer


@dataclass(frozen=True)
class Authority:
    """A certification authority of a test's own, in a folder."""

    folder: Path
    name: str = "authority"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    def issue(self, name: str) -> TlsSettings:
        """Make a certificate for 127.0.0.1, and the settings of who owns it and trusts this authority."""
        key, request, certificate = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        _openssl("req", "-new", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName = IP:127.0.0.1\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions, "-out", certificate),
        )
        return TlsSettings(certificate, key, self.certificate)


def authority(folder: Path, name: str = "authority") -> Authority:
    """Make an authority."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Authority(folder, name)
    _openssl("req", "-x509", *_KEY, "-days", "2", "-keyout", made.key, "-out", made.certificate, "-subj", f"/CN={name}")
    return made


_KEY = ("-newkey", "rsa:2048", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run([peer("openssl"), *map(str, arguments)], check=True, capture_output=True, timeout=60)
