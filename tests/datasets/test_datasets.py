"""Data sets are found, downloaded and checked; scoring is parallel, remembered, and names what goes wrong."""

import functools
import gzip
import hashlib
import http.server
import io
import lzma
import os
import tarfile
import threading
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from wrlso._utils import cache as _keeping
from wrlso._utils.cache import content_hash, kept_lines
from wrlso.datasets import cache_folder, canonical_smiles, fetch_zinc250k, load_molecules, score
from wrlso.datasets import downloads as _downloads
from wrlso.datasets import molecules as datasets
from wrlso.datasets.downloads import TextFile
from wrlso.datasets.molecule_table import write_molecule_table
from wrlso.exceptions import DataError, DataTypeError, ParameterError, ParameterTypeError

LINES = ["CCO", "CCN", "c1ccccc1", "CC(=O)O"]
TEXT = "".join(f"{line}\n" for line in LINES)
REFERENCE = Path(os.environ.get("WRLSO_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WRLSO_DATA", raising=False)


def serve(monkeypatch, url):
    file = TextFile("zinc250k.smi", hashlib.sha256(TEXT.encode()).hexdigest(), url, "4 molecules")
    monkeypatch.setattr(datasets, "_ZINC250K", file)


def packed(data, name="zinc.txt", extra=()):
    """A tar.gz archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for member, content in [*extra, (name, data)]:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


# ------------------------------------------------------------------------------------------ finding a file


def test_the_reference_data_is_zinc250k():
    if not (REFERENCE / "zinc250k.smi.xz").exists():
        pytest.skip(f"zinc250k.smi.xz is not in {REFERENCE}; set WRLSO_DATA")
    X = fetch_zinc250k(REFERENCE)
    assert len(X) == len(set(X)) == 249_455
    assert X[0] == "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1"
    assert all(x and x == x.strip() for x in X)


@pytest.mark.parametrize("name", ["zinc250k.smi", "zinc250k.smi.xz"])
@pytest.mark.parametrize("place", ["data_home", "WRLSO_DATA", "cache"])
def test_a_local_file_is_found_packed_or_not(monkeypatch, tmp_path, name, place):
    serve(monkeypatch, "file:///nowhere")
    folder = tmp_path / "cache" / "datasets" if place == "cache" else tmp_path / place
    folder.mkdir(parents=True)
    data = TEXT.replace("\n", " \r\n").encode()  # what stands at the ends of lines does not matter
    (folder / name).write_bytes(lzma.compress(data) if name.endswith("xz") else data)
    if place == "WRLSO_DATA":
        monkeypatch.setenv("WRLSO_DATA", str(folder))
    assert fetch_zinc250k(folder if place == "data_home" else None) == LINES


def test_data_home_comes_before_the_variable(monkeypatch, tmp_path):
    serve(monkeypatch, "file:///nowhere")
    monkeypatch.setenv("WRLSO_DATA", str(tmp_path / "wrong"))
    for folder, text in (("wrong", "C\n"), ("right", TEXT)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "zinc250k.smi").write_text(text)
    assert fetch_zinc250k(tmp_path / "right") == LINES
    with pytest.raises(
        DataError, match=r"wrong/zinc250k.smi is not zinc250k.smi .*: its sha256 is [0-9a-f]+, exp"
    ):
        fetch_zinc250k()


def test_a_damaged_file_is_named(monkeypatch, tmp_path):
    serve(monkeypatch, "file:///nowhere")
    (tmp_path / "zinc250k.smi.xz").write_bytes(lzma.compress(TEXT.encode())[:-10])
    with pytest.raises(DataError, match=r"zinc250k.smi.xz cannot be read: .*; put back a copy or delete it"):
        fetch_zinc250k(tmp_path)


# ------------------------------------------------------------------------------------------ downloading


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """The address and the folder of a server on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


CONTENTS = {
    "tar.gz": packed(TEXT.encode(), extra=[("._zinc.txt", b"attributes")]),
    "gz": gzip.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "plain": TEXT.encode(),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_download_is_unpacked_checked_and_kept(monkeypatch, tmp_path, server, capsys, content):
    address, folder = server
    (folder / "zinc.txt.gz").write_bytes(CONTENTS[content])
    serve(monkeypatch, f"{address}/zinc.txt.gz")
    assert fetch_zinc250k() == LINES
    assert "zinc.txt.gz: 100%" in capsys.readouterr().err  # the progress bar
    (folder / "zinc.txt.gz").unlink()
    assert fetch_zinc250k() == LINES
    assert (tmp_path / "cache" / "datasets" / "zinc250k.smi.xz").exists()


def test_a_download_goes_to_data_home(monkeypatch, tmp_path, server):
    address, folder = server
    (folder / "z").write_bytes(TEXT.encode())
    serve(monkeypatch, f"{address}/z")
    assert fetch_zinc250k(tmp_path / "mine") == LINES
    assert lzma.decompress((tmp_path / "mine" / "zinc250k.smi.xz").read_bytes()).decode() == TEXT
    assert not (tmp_path / "cache").exists()


def test_a_download_that_cannot_be_kept_is_used_unless_a_place_was_asked_for(monkeypatch, tmp_path, server):
    address, folder = server
    (folder / "z").write_bytes(TEXT.encode())
    serve(monkeypatch, f"{address}/z")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "file"))
    assert fetch_zinc250k() == LINES
    with pytest.raises(DataError, match="was downloaded and cannot be written to .*file"):
        fetch_zinc250k(tmp_path / "file")


def test_what_is_downloaded_wrongly_is_not_kept(monkeypatch, tmp_path, server):
    address, folder = server
    serve(monkeypatch, f"{address}/z")
    with pytest.raises(
        DataError, match=r"is in none of .*mine, .*datasets, and downloading http.* failed: .*404"
    ):
        fetch_zinc250k(tmp_path / "mine")
    wrong = {
        r"z is not zinc250k.smi": b"<html>moved</html>",
        r"z cannot be unpacked": gzip.compress(TEXT.encode())[:-12],
        r"z must hold one file, got \['a', 'zinc.txt'\]": packed(TEXT.encode(), extra=[("a", b"")]),
    }
    for message, content in wrong.items():
        (folder / "z").write_bytes(content)
        with pytest.raises(DataError, match=message):
            fetch_zinc250k(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    (folder / "z").write_bytes(TEXT.encode())
    monkeypatch.setattr(_downloads, "_MOST_BYTES", 5)
    with pytest.raises(DataError, match="it has more than 5 bytes"):
        fetch_zinc250k(tmp_path / "mine")


def test_a_download_that_breaks_off_is_noticed(monkeypatch, server):
    address, folder = server
    (folder / "z").write_bytes(TEXT.encode())
    serve(monkeypatch, f"{address}/z")
    real = Quiet.copyfile
    monkeypatch.setattr(
        Quiet, "copyfile", lambda self, source, output: real(self, io.BytesIO(source.read(9)), output)
    )
    with pytest.raises(DataError, match=r"failed: .*IncompleteRead\(9 bytes read"):
        fetch_zinc250k()


# ------------------------------------------------------------------------------------------ scoring


def length(x):
    return float(len(x))


def test_scores_are_the_objectives_in_order():
    X = [f"C{'O' * (i % 7)}{i}" for i in range(2300)]
    y = score(length, X, n_jobs=1, cache=False, progress=False)
    np.testing.assert_array_equal(y, [len(x) for x in X])
    assert y.dtype == np.float64
    assert score(length, [], cache=False).shape == (0,)


def test_processes_give_the_same_scores_and_a_progress_bar(capsys):
    X = [f"C{'O' * (i % 7)}{i}" for i in range(1200)]
    offset = 3
    y = score(lambda x: len(x) + offset, X, n_jobs=2, cache=False)  # functions that pickle does not know too
    np.testing.assert_array_equal(y, [len(x) + 3 for x in X])
    assert "scoring: 100%" in capsys.readouterr().err
    score(length, X, n_jobs=1, cache=False, progress=False)
    assert capsys.readouterr().err == ""


class Counting:
    """Counts calls; its scores may be kept."""

    def __init__(self, cache_key=None):
        self.calls = 0
        if cache_key:
            self.cache_key = cache_key

    def __call__(self, x):
        self.calls += 1
        return None if x == "bad" else len(x)


def test_scores_are_remembered_by_objective_and_molecules(tmp_path):
    X = ["CC", "bad", "CCO"]
    first, second = Counting("length-1"), Counting("length-1")
    np.testing.assert_array_equal(score(first, X), [2, np.nan, 3])
    np.testing.assert_array_equal(score(second, X), [2, np.nan, 3])
    assert (first.calls, second.calls) == (3, 0)
    for other, key in ((X[::-1], "length-1"), (["CCbad", "CCO"], "length-1"), (X, "length-2")):
        again = Counting(key)
        score(again, other)
        assert again.calls == len(other)
    refused = Counting("length-1")
    score(refused, X, cache=False)
    assert refused.calls == 3
    named = Counting()
    score(named, X, cache="mine")
    score(named, X, cache="mine")
    assert named.calls == 3
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name.endswith(".tmp")]


def test_without_a_name_and_for_other_objects_nothing_is_kept(tmp_path):
    score(Counting(), ["CC"])
    score(Counting("key"), [(1, 2)])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_memories_are_computed_again(tmp_path, damage):
    score(Counting("k"), ["CC", "C"])
    (path,) = (tmp_path / "cache" / "scores").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    again = Counting("k")
    np.testing.assert_array_equal(score(again, ["CC", "C"]), [2, 1])
    assert again.calls == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(score(Counting("k"), ["CC"]), [2])


def test_what_goes_wrong_is_named_by_row():
    X = [*["C"] * 600, "row", "C"]
    with pytest.raises(DataTypeError, match=r"must return a number.*; for row 600, 'row', it returned 'no'"):
        score(lambda x: "no" if x == "row" else 1, X, cache=False)
    with pytest.raises(DataError, match=r"must be finite.*; for row 600, 'row', it returned -inf"):
        score(lambda x: -np.inf if x == "row" else 1, X, cache=False)
    with pytest.raises(ZeroDivisionError) as caught:
        score(lambda x: 1 / (x != "row"), X, cache=False)
    assert caught.value.__notes__ == ["the objective raised this for row 600, 'row'"]
    with pytest.raises(ParameterError, match="n_jobs must be an integer of at least 1"):
        score(length, X, n_jobs=0)
    with pytest.raises(ParameterTypeError, match="n_jobs must be an integer of at least 1"):
        score(length, X, n_jobs="all")
    with pytest.raises(DataTypeError, match="cache must be a name, True or False, got 3"):
        score(length, X, cache=3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=5), max_size=5), st.lists(st.text(max_size=5), max_size=5))
def test_hashes_differ_where_texts_do(first, second):
    assert (content_hash(first) == content_hash(second)) == (first == second)


def test_the_cache_lies_where_the_system_wants_it(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "PlatformDirs", Unix)
    monkeypatch.delenv("WRLSO_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/somebody/.cache/wrlso")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/wrlso")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(platformdirs, "PlatformDirs", MacOS)
    assert cache_folder() == Path("/home/somebody/Library/Caches/wrlso")
    monkeypatch.setattr(platformdirs, "PlatformDirs", Windows)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", {"CSIDL_LOCAL_APPDATA": "/appdata"}.get)
    assert cache_folder() == Path("/appdata/wrlso")


# ------------------------------------------------------------------------------------------ spelling


def test_canonical_smiles_are_remembered(monkeypatch):
    pytest.importorskip("rdkit")
    X = ["OCC", "C(", "C[C@H](N)O"]
    assert canonical_smiles(X) == ["CCO", None, "C[C@H](N)O"]
    assert canonical_smiles(X, stereo=False) == ["CCO", None, "CC(N)O"]
    monkeypatch.setattr(datasets, "canonical", None)  # what is remembered needs no work
    assert canonical_smiles(X) == ["CCO", None, "C[C@H](N)O"]


def test_lines_of_another_number_are_not_used():
    _keeping.keep_lines("key", ["a", "", "b"])
    assert kept_lines("key", 3) == ["a", "", "b"]
    assert kept_lines("key", 2) is None


# ------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("name", ["table.csv", "table.csv.xz"])
def test_tables_are_read_as_they_were_written(tmp_path, name):
    path = tmp_path / name
    write_molecule_table(path, {"smiles": LINES, "qed": [0.5, np.nan, 1 / 3, -2], "atoms": [3, 3, 6, 4]})
    table = load_molecules(path)
    assert table.smiles == LINES
    np.testing.assert_array_equal(table.qed, [0.5, np.nan, 0.333333, -2])
    np.testing.assert_array_equal(table["atoms"], [3, 3, 6, 4])
    assert sorted(table) == ["atoms", "qed", "smiles"]


def test_tables_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "t.csv"
    with pytest.raises(DataError, match=r"t.csv cannot be read: .*No such file"):
        load_molecules(path)
    wrong = {
        "": "must have distinct columns, smiles among them, got",
        "molecule,qed\nC,1\n": "must have distinct columns, smiles among them, got",
        "smiles,qed,qed\nC,1,1\n": "must have distinct columns, smiles among them, got",
        "smiles,qed\nC,1\nC\n": "line 3 of .*t.csv must have 2 columns, got 1",
        "smiles,qed\nC,high\n": "line 2 of .*t.csv must have a number as qed, got 'high'",
    }
    for text, message in wrong.items():
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load_molecules(path)


def test_a_table_is_made_of_molecules(tmp_path, capsys):
    pytest.importorskip("rdkit")
    from wrlso.benchmarks.molecules.data import main, make_table

    source, path = tmp_path / "molecules.smi", tmp_path / "molecules.csv.xz"
    source.write_text("OCC\nCCO\nc1ccccc1O\n")
    assert main([str(source), str(path)]) == 2
    assert "2 molecules in" in capsys.readouterr().err
    table = load_molecules(path)
    assert table.smiles == ["CCO", "Oc1ccccc1"]
    np.testing.assert_array_equal(table.heavy_atoms, [3, 7])
    assert {"penalized_logp", "qed", "logp", "synthetic_accessibility", "weight"} < set(table)
    with pytest.raises(DataError, match="row 1 is invalid SMILES"):
        make_table(["C", "C("], path)
    with pytest.raises(DataError, match="X must hold at least one molecule, got none"):
        make_table([], path)
