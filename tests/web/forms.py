"""Forms of the page, as a browser sends them."""

import re

from wrlso.storage.info import view_campaign


def post(client, address, **data):
    files = {"file": data.pop("file")} if "file" in data else None
    return client.post(address, data={"secret": client.secret, **data}, files=files)


def record(camp, row):
    return view_campaign(camp).history.records[row]


def draft(text):
    return re.search(r'name="draft" value="([^"]+)"', text)[1]
