"""What a published table rests on: told by the file that it is, never by what stands in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

RECOMPUTED = "recomputed"  # from records, by this project's own code
CLAIMED = "claimed"  # a table without records: its source's word
ORIGINAL = "original"  # a table of the parent project, byte for byte

WORDS = {
    RECOMPUTED: "recomputed here from its records, by this arena's protocol and gate, in other processes on another "
    "machine",
    CLAIMED: "claimed by its source: no records to recompute it from, so not ranked with this arena's figures",
    ORIGINAL: "by the original's own protocol: not to be compared with this run sample by sample",
}

#: SHA-256 of the tables of kvark/inferena as they were taken over, with line feeds at the ends of lines.
ORIGINALS = frozenset(
    {
        "e3dc5bf64279950ce79d6e964e996e4eeae646682a39289534e9df47d48a0d0b",  # amd-radeon-890m-graphics.csv
        "22919036844e9a8ab1b5886e0e921da13c630857369509eeb205729975af1410",  # amd-radeon-rx-7900-xt.csv
        "33fc4c49addb452e3fc208d6fbd4b5ae025551919ee624169206a422c18691e4",  # apple-m3.csv
        "b9e5470b3670ef7b4978b46c7db87eb1245734b8ad5540937e0a0bd93ad63062",  # intel-r-graphics-rpl-u.csv
        "962679c60b367507c700b3be4911d71909ec9a72cb8135bddbc3668b981212fa",  # intel-xeon-2-10ghz.csv
        "cd8875878b55e143f1741c2659becbfadcc185d512ad3102d14f3ccbf14bb498",  # nvidia-geforce-rtx-3050-windows.csv
        "2b04014624179b7a2f146ec2791c18174aeef93523c23e98b4de2c851bf0ff90",  # nvidia-geforce-rtx-5080.csv
    }
)


def of(path: Path, data: bytes) -> str:
    """What a CSV rests on that nobody recomputed: ``ORIGINAL`` if its bytes are known, else ``CLAIMED``.

    ``data`` are the file's bytes; Windows' ends of lines, as a checkout may make them, change nothing.
    """
    known = path.suffix == ".csv" and hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() in ORIGINALS
    return ORIGINAL if known else CLAIMED
