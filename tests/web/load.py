"""Measures the page of a large campaign, and how it bears readers and writers; a program, not a test.

``python tests/web/load.py CAMPAIGN --out FILE`` works on a copy. It tells the time, the processor time of the
server and the bytes of the first page and of a page of many pictures; then readers look at pages and writers
correct values for two minutes, and what was acknowledged is compared with what the campaign holds.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from wrlso.storage.info import view_campaign

PAGES = ["/", "/batch", "/results", "/explore", "/explore?sort=told&down=1&page=7", "/history", "/model",
         "/settings", "/point/5", "/progress.svg"]  # fmt: skip


class Server:
    """``wrlso serve``, and what it uses."""

    def __init__(self, campaign):
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "wrlso", "serve", str(campaign), "--no-browser", "--port", str(port)]
        self.process = subprocess.Popen(command)
        while True:
            with suppress(OSError), urlopen(f"{self.address}/static/page.css", timeout=60):
                return
            time.sleep(0.05)

    def get(self, page):
        """Return the seconds, the processor seconds of the server, and the body of an answer."""
        begin, used = time.perf_counter(), self.processor()
        with urlopen(f"{self.address}{page}", timeout=300) as answer:
            body = answer.read()
        return time.perf_counter() - begin, self.processor() - used, body

    def post(self, page, **data):
        with urlopen(f"{self.address}{page}", urlencode(data).encode(), timeout=300) as answer:
            return answer.status

    def processor(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Return the megabytes that the server and its processes hold."""
        listed = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid), "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return sum(map(int, listed.stdout.split())) / 1024


def first_pages(server):
    """Measure pages that nobody has looked at."""
    found = {}
    for page in ("/", "/batch", "/explore", "/batch", "/"):
        seconds, used, body = server.get(page)
        name = f"{page}, again" if page in found else page
        found[name] = {"seconds": round(seconds, 3), "processor": used, "bytes": len(body)}
    pictures = sorted(set(re.findall(rb"/drawing/\d+\.svg", server.get("/batch")[2])))
    begin, used = time.perf_counter(), server.processor()
    size = sum(len(server.get(picture.decode())[2]) for picture in pictures)
    found[f"{len(pictures)} pictures"] = {
        "seconds": round(time.perf_counter() - begin, 3),
        "processor": round(server.processor() - used, 2),
        "bytes": size,
    }
    return found


def under_load(server, seconds, n_readers, n_writers):
    """Let readers and writers work, and return what was acknowledged and how it went."""
    secret = re.search(rb'name="secret" value="([^"]+)"', server.get("/results")[2])[1].decode()
    end, told = time.monotonic() + seconds, {}
    times, errors, acknowledged = [], [], []
    memory = [server.memory()]

    def read(number):
        while time.monotonic() < end:
            begin = time.perf_counter()
            try:
                server.get(PAGES[number % len(PAGES)])
            except OSError as error:
                errors.append(f"read: {error}")
            times.append(time.perf_counter() - begin)
            number += 1

    def write(number):
        value = 0
        while time.monotonic() < end:
            value += 1
            try:
                server.post("/update", secret=secret, id=number, value=f"{value}.25", reason="load")
            except HTTPError as error:
                errors.append(f"write: {error}: {error.read()[:2000].decode()}")
            else:
                told[number] = value + 0.25
                acknowledged.append(number)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(n_readers)]
    threads += [threading.Thread(target=write, args=(i,)) for i in range(n_writers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(2)
        memory.append(server.memory())
    times.sort()
    half = len(memory) // 2
    return told, {
        "seconds": seconds, "readers": n_readers, "writers": n_writers, "pages": len(times),
        "changes": len(acknowledged), "errors": len(errors),
        "first_errors": errors[:3],
        "median_seconds": round(times[len(times) // 2], 2), "95%_seconds": round(times[-len(times) // 20], 2),
        "megabytes": {"before": round(memory[0]), "first half": round(max(memory[:half])),
                      "second half": round(max(memory[half:]))},
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--writers", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Path(shutil.copytree(given.campaign, Path(folder) / "campaign"))
        busy = os.getloadavg()[0]
        server = Server(campaign)
        try:
            first = first_pages(server)
            told, load = under_load(server, given.seconds, given.readers, given.writers)
        finally:
            server.process.terminate()
            server.process.wait()
        view = view_campaign(campaign)
        lost = [row for row, value in told.items() if view.history.records[row].values != [value]]
        corrections = sum(event.kind == "update" for event in view.history.events)
    record = {
        "command": "python tests/web/load.py CAMPAIGN --out FILE", "points": len(view.history),
        "pending": len(view.history.rows_with("pending")), "cores": os.cpu_count(), "load_before": busy,
        "first": first, "load": load | {"lost": len(lost), "corrections_on_record": corrections},
    }  # fmt: skip
    given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
