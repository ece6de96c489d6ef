"""The folder is moved away while the page is open: each address says so, and its return is seen."""

import shutil

from .forms import post

ADDRESSES = [
    "/", "/batch", "/results", "/explore", "/model", "/history", "/settings", "/point/0", "/map",
    "/map/points", "/model/quality", "/batch/leaning", "/drawing/0.svg", "/progress.svg",
    "/front/0.svg", "/download/all.csv", "/download/batch.fasta", "/explore?smarts=C",
]  # fmt: skip
CHANGES = {
    "/batch/ask": {"n": "1"}, "/batch/accept": {"id": "30"}, "/batch/reject": {"id": "30", "again": "1"},
    "/note": {"id": "0", "text": "x"}, "/results/check": {"v30-0": "1"}, "/model/retrain": {},
    "/update": {"id": "0", "value": "1", "reason": "x"},
}  # fmt: skip


def test_each_address_says_that_there_is_no_campaign(client, camp):
    away = shutil.move(camp, camp.parent / "away")
    for address in ADDRESSES:
        answer = client.get(address)
        assert (address, answer.status_code) == (address, 503)
        assert "The campaign cannot be read" in answer.text
    for address, fields in CHANGES.items():
        answer = post(client, address, **fields)
        assert (address, answer.status_code) in {(address, 503), (address, 422)}
        assert "campaign" in answer.text
        assert not camp.exists()
    shutil.move(away, camp)
    assert client.get("/").status_code == 200
    assert "being made" in client.get("/point/30").text
