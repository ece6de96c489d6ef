"""A small campaign of strings with a batch that is out; each test has a copy."""

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from starlette.testclient import TestClient
from string_models import strings

from wrlso import campaign
from wrlso.outcomes import AtMost, Maximize
from wrlso.web import make_app

OWN = "string_models:make"
BASE = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def web_template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    data = folder / "start.csv"
    rows = [f"{x},{i % 7}.5" for i, x in enumerate(strings()[:30])]
    data.write_text("\n".join(["x,y", *rows]) + "\n", encoding="utf-8")
    camp = folder / "camp"
    campaign.init(camp, data, model=OWN, training={"initial_epochs": 1}, random_state=0)
    campaign.ask(campaign.open_campaign(camp, model=OWN), camp, 3)
    return camp


@pytest.fixture
def camp(web_template, tmp_path):
    return Path(shutil.copytree(web_template, tmp_path / "camp"))


@pytest.fixture(scope="session")
def two_template(tmp_path_factory):
    """A batch of three is out; of the starting data one value is a bound, and one experiment has failed."""
    folder = tmp_path_factory.mktemp("two")
    rows = [f"{x},{i % 7}.5,{(3 * i) % 11}" for i, x in enumerate(strings()[:30])]
    rows[4] = f"{strings()[4]},>4,3"
    rows[5] = f"{strings()[5]},failed,"
    (folder / "start.csv").write_text("\n".join(["x,pIC50,tox", *rows]) + "\n", encoding="utf-8")
    camp = folder / "camp"
    outcomes = [Maximize("pIC50"), AtMost("tox", 6.0, unit="uM")]
    campaign.init(
        camp,
        folder / "start.csv",
        model=OWN,
        training={"initial_epochs": 1},
        random_state=0,
        outcomes=outcomes,
    )
    campaign.ask(campaign.open_campaign(camp, model=OWN), camp, 3)
    return camp


@pytest.fixture
def two(two_template, tmp_path):
    return Path(shutil.copytree(two_template, tmp_path / "two"))


def served(camp):
    """Yield a browser on a campaign, with the secret of its forms."""
    root = Path(__file__).parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{root}:{root.parent}")
        with TestClient(make_app(camp, model=OWN), base_url=BASE) as client:
            client.secret = re.search(r'name="secret" value="([^"]+)"', client.get("/results").text)[1]
            yield client


@pytest.fixture
def client(camp):
    yield from served(camp)


@pytest.fixture(scope="module")
def looking(web_template, tmp_path_factory):
    """One browser for tests that change nothing: its start takes seconds."""
    folder = tmp_path_factory.mktemp("looking")
    yield from served(Path(shutil.copytree(web_template, folder / "camp")))
