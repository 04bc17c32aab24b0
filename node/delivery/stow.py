"""DICOMweb: STOW-RS to send (PS3.18 section 10.5), QIDO-RS to ask what is there (10.6)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.errors import InvalidDicomError

from node.delivery.scu import Answer, Carrier, Parcel, Unreachable
from node.domain.settings import Destination, TlsSettings
from node.ledger.proofs import Holding
from node.ledger.records import Shipment
from node.tls import client_context

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that say nothing of the object: try again."""
_ALL_STORED = 200


@contextmanager
def service(destination: Destination, tls: TlsSettings | None) -> Iterator[Carrier]:
    """Open a session with a DICOMweb service."""
    session = _session(destination, tls)
    last: list[requests.Response] = []

    def on_response(response: requests.Response, *_: Any, **__: Any) -> None:
        last[:] = [response]
        kind = response.headers.get("Content-Type", "")
        response.headers["Content-Type"] = kind.partition(";")[0].strip()  # the client takes none with parameters

    session.hooks["response"].append(on_response)
    try:
        yield StowCarrier(DICOMwebClient(str(destination.url), session=session), last)
    finally:
        session.close()


class StowCarrier(Carrier):
    """Sends one object in each request, so that each has an answer of its own."""

    def __init__(self, client: DICOMwebClient, last: Sequence[requests.Response]) -> None:
        client.set_http_retry_params(retry=False)  # retries are the deliverer's
        self._client = client
        self._last = last

    def store(self, parcel: Parcel) -> Answer:
        """Send one file. Raises ``Unreachable`` when the service gives no answer about it."""
        try:
            dataset = pydicom.dcmread(parcel.path)
        except (OSError, InvalidDicomError) as error:
            return Answer(False, False, None, f"the file cannot be read ({type(error).__name__})")
        try:
            said = self._client.store_instances([dataset])
            return _answer(said, parcel, self._last[0].status_code if self._last else 0)
        except requests.HTTPError as error:
            return _refusal(error, parcel)
        except (requests.RequestException, OSError) as error:
            raise Unreachable(f"the service cannot be reached ({type(error).__name__})") from error


def _answer(said: pydicom.Dataset, parcel: Parcel, status: int) -> Answer:
    """PS3.18 table 10.5.3-1: an object stands among those referenced, perhaps with a warning, or among the failed.

    Where the service says nothing of the object, only 200 (all are stored) counts as stored.
    """
    for item in said.get("FailedSOPSequence") or []:
        if _refers(item) in (parcel.sop_instance_uid, ""):
            failure = item.get("FailureReason")
            return Answer(False, False, int(failure) if failure else None, f"the service answered {status}")
    for item in said.get("ReferencedSOPSequence") or []:
        if _refers(item) == parcel.sop_instance_uid:
            warning = item.get("WarningReason")
            return Answer(True, warning is not None, int(warning) if warning is not None else 0x0000, None)
    if status == _ALL_STORED and not said.get("ReferencedSOPSequence"):
        return Answer(True, False, 0x0000, None)
    return Answer(False, False, None, f"the service answered {status}, and did not say that it stored the object")


def _refers(item: pydicom.Dataset) -> str:
    return str(item.get("ReferencedSOPInstanceUID", ""))


def _refusal(error: requests.HTTPError, parcel: Parcel) -> Answer:
    status = error.response.status_code if error.response is not None else 0
    if error.response is None or status in _LATER:
        raise Unreachable(f"the service answered {status or 'nothing'}") from error
    try:
        said = _answer(pydicom.Dataset.from_json(error.response.json()), parcel, status)
    except Exception:  # noqa: BLE001 - whatever stands in the body of an error: it is a refusal, with or without reasons
        return Answer(False, False, None, f"the service answered {status}")
    return Answer(False, False, said.status or None, f"the service answered {status}")


def find(destination: Destination, shipment: Shipment, tls: TlsSettings | None) -> Holding:
    """Search for every object of a shipment. Raises ``Unreachable`` when the service does not answer."""
    wanted = {item.sop_instance_uid for item in shipment.objects}
    held: set[str] = set()
    session = _session(destination, tls)
    try:
        client = DICOMwebClient(str(destination.url), session=session)
        client.set_http_retry_params(retry=False)
        for series in {item.series_instance_uid for item in shipment.objects}:
            found = client.search_for_instances(shipment.study_instance_uid, series)
            held |= {_uid(one) for one in found} & wanted
    except (requests.RequestException, OSError) as error:
        raise Unreachable(f"the service cannot be searched ({type(error).__name__})") from error
    finally:
        session.close()
    return Holding(frozenset(held), frozenset(wanted - held))


def _uid(found: Mapping[str, Any]) -> str:
    values = found.get("00080018", {}).get("Value") or [""]
    return str(values[0])


class _Patient(requests.adapters.HTTPAdapter):
    """Every request has the destination's time limit, and TLS as towards every other destination."""

    def __init__(self, destination: Destination, tls: TlsSettings | None) -> None:
        self._timeout_s = destination.timeout_s
        self._secure: dict[str, Any] = {}
        if tls is not None:
            self._secure["ssl_context"] = client_context(tls, check_host=destination.tls_check_host)
        if not destination.tls_check_host:
            self._secure["assert_hostname"] = False
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the connections' pool."""
        super().init_poolmanager(connections, maxsize, block, **options, **self._secure)

    def send(self, request: Any, *arguments: Any, **options: Any) -> requests.Response:
        """Send one request."""
        options["timeout"] = options.get("timeout") or self._timeout_s
        return super().send(request, *arguments, **options)


def _session(destination: Destination, tls: TlsSettings | None) -> requests.Session:
    session = requests.Session()
    secure = str(destination.url).lower().startswith("https:")
    session.mount("https://" if secure else "http://", _Patient(destination, tls if secure else None))
    session.trust_env = False
    if tls is not None and tls.authorities is not None:
        session.verify = str(tls.authorities)
    secret = os.environ.get(destination.password_variable, "") if destination.password_variable else ""
    if destination.user:
        session.auth = (destination.user, secret)
    elif secret:
        session.headers["Authorization"] = f"Bearer {secret}"
    return session
