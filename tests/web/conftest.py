"""A small campaign of strings with a batch that is out; each test has a copy."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from string_models import strings

from wrlso import campaign

OWN = "string_models:make"


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
