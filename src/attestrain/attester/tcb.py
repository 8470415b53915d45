"""TCB info and QE identity: which versions of what count as up to date, in the format of Intel's provisioning service.

Intel, "API for TDX Provisioning Certification Service", version 4: TCB info v3 and enclave identity v2.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attestrain.attester.platform import CPU_SVN, PCE_SVN, QE_MRSIGNER, QE_PRODUCT, QE_SVN, TEE_SVN

FMSPC = bytes.fromhex("deadbeef0000")
"""Family number of simulated platforms: no family of processors has it."""
EVALUATION = 17
"""Number of the TCB evaluation: any will do."""
UP_TO_DATE = "UpToDate"


def tcb_info(begin: datetime, end: datetime, status: str) -> str:
    """The text that says of simulated platforms that they are in ``status``."""
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    levels = {"sgxtcbcomponents": _components(CPU_SVN), "pcesvn": PCE_SVN}
    # Two components are the module's own version: matched by its identity below, not by the level.
    levels["tdxtcbcomponents"] = _components(bytes([TEE_SVN[0], 0]) + TEE_SVN[2:])
    identity = {
        "id": f"TDX_{TEE_SVN[1]:02X}",
        **module,
        "tcbLevels": [_level({"isvsvn": TEE_SVN[0]}, begin, UP_TO_DATE)],
    }
    return _text(
        {
            "id": "TDX",
            "version": 3,
            **_period(begin, end),
            "fmspc": FMSPC.hex(),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": EVALUATION,
            "tdxModule": module,
            "tdxModuleIdentities": [identity],
            "tcbLevels": [_level(levels, begin, status)],
        }
    )


def qe_identity(begin: datetime, end: datetime) -> str:
    """The text that says which quoting enclave simulated platforms run."""
    return _text(
        {
            "id": "TD_QE",
            "version": 2,
            **_period(begin, end),
            "tcbEvaluationDataNumber": EVALUATION,
            "miscselect": "00" * 4,
            "miscselectMask": "FF" * 4,
            "attributes": "11" + "00" * 15,
            "attributesMask": "FBFFFFFFFFFFFFFF" + "00" * 8,
            "mrsigner": QE_MRSIGNER.hex().upper(),
            "isvprodid": QE_PRODUCT,
            "tcbLevels": [_level({"isvsvn": QE_SVN}, begin, UP_TO_DATE)],
        }
    )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _components(versions: bytes) -> list[dict[str, int]]:
    return [{"svn": version} for version in versions]


def _level(tcb: dict[str, Any], since: datetime, status: str) -> dict[str, Any]:
    return {"tcb": tcb, "tcbDate": _time(since), "tcbStatus": status}


def _period(begin: datetime, end: datetime) -> dict[str, str]:
    return {"issueDate": _time(begin), "nextUpdate": _time(end)}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
