"""The report of a campaign of sequences shows mutations, a logo and the batch."""

import pytest

pytest.importorskip("matplotlib")

from wrlso import Trainer
from wrlso.report import write_report
from wrlso.sequences import CodingRules, sequence_search

WILD = "MKTAYIAKQRQI"
X = [WILD, "MKTAYLAKQRQI", "MKSAYIAKQRQI", "MRTAYIAKQRQI", "MKTGYIAKQRQI", "MKTAYIAKHRQI"]
SHORT = {"trainer": Trainer(initial_steps=2), "random_state": 0}


@pytest.mark.parametrize("translate", [False, True])
def test_a_report_of_sequences_has_their_pictures(tmp_path, translate):
    data = [CodingRules().repaired(x) for x in X] if translate else X
    options = {"alphabet": "dna", "translate": True} if translate else {}
    opt = sequence_search(data, range(6), wild_type=data[0], max_mutations=3, **options, **SHORT)
    opt.ask(2)
    page = write_report(opt, tmp_path / "report.html").read_text()
    assert "What was mutated where" in page
    assert "The best 6 sequences" in page
    assert "The last 2 pending sequences, aligned to the wild type" in page
    assert ("letters those of proteins" in page) == translate
    # beside it is each figure that it shows
    files = {path.name for path in (tmp_path / "report-figures").iterdir()}
    assert {"mutations.png", "logo.png", "alignment.png"} < files
    assert len(files) == page.count("<img")
