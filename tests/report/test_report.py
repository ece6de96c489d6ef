"""The report: complete in itself, harmless whatever it shows, right in its numbers, and without effects."""

import base64
import re
from fractions import Fraction
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("matplotlib")
from conftest import N_LETTERS, make_optimizer, networks, words
from matplotlib.image import imread
from matplotlib.text import Text

from wrlso import NotFittedError, ParameterError, SparseGP, Trainer, WeightedRetrainingOptimizer
from wrlso.report import drawings, register_drawing, write_report
from wrlso.report.drawings import draw, text_of
from wrlso.report.page import table
from wrlso.report.points import _expected
from wrlso.report.snapshot import Campaign, asked_predictions, held_out_predictions, predict_now, thin

VOID = {"meta", "img", "br"}
ALLOWED = VOID | {
    "html", "head", "title", "style", "body", "header", "h1", "h2", "h3", "p", "nav", "ul", "li", "a", "dl",
    "div", "dt", "dd", "small", "main", "section", "figure", "figcaption", "table", "caption", "thead",
    "tbody", "tr", "th", "td", "code", "details", "summary", "footer",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "id", "class", "href", "src", "alt", "title",
    "scope", "aria-label", "aria-labelledby",
}  # fmt: skip
SECTIONS = [
    "progress", "candidates", "best", "predictions", "latent", "weights", "trainings", "observations",
    "settings",
]  # fmt: skip


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name, tag=None):
        return [v for t, n, v in self.attributes if n == name and tag in (None, t)]

    @property
    def text(self):
        return "".join(data for tag, data in self.texts if tag != "style")


def read(path):
    """Read a report and check what holds for every one of them."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert set(page.tags) <= ALLOWED  # no script, link, iframe, object, form, ...
    # no handlers, no inline styles, nothing else that loads
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    assert not re.search(r"https?:", text)
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", text)
    assert not re.search(r"url\(|@import|expression\(", text)
    assert "default-src 'none'" in page.values("content", "meta")[0]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert all(link[0] == "#" and link[1:] in ids for link in page.values("href"))
    assert [name for name in ids if not name.endswith("-title")] == SECTIONS
    assert set(page.values("aria-labelledby")) <= set(ids)
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in page.values("src"))
    assert len(page.values("alt", "img")) == page.tags.count("img")
    assert all(page.values("alt", "img"))
    assert page.tags.count("th") == len(page.values("scope", "th"))
    assert page.tags.count("table") == page.tags.count("caption")
    assert page.tags.count("h1") == 1
    results = page.text[: page.text.index("Parameters of the optimizer.")]
    assert not re.search(r"\b(nan|inf|None)\b", results, re.IGNORECASE)
    return page


def value(x):
    return float(x.sum()) + 0.1 * float(x[0])


def campaign(n_asks=0, pending=0, n=30, failures=(), **options):
    X = words(n)
    opt = make_optimizer(**options).fit(X, [value(x) for x in X])
    for i in range(n_asks):
        x = opt.ask()
        opt.tell(x, None if i in failures else value(x))
    if pending:
        opt.ask(pending)
    return opt


@pytest.fixture(scope="module")
def busy():
    return campaign(n_asks=13, pending=3, failures=(4,))


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without the time that it takes to draw, for tests of words and numbers."""
    monkeypatch.setattr("wrlso.report.page._to_png", lambda figure: b"picture")


def rows_of(page_text, caption):
    """Return the cells' texts of the table with this start of a caption."""
    tables = re.findall(r"<table>.*?</table>", page_text, re.DOTALL)
    (found,) = [t for t in tables if caption in t]
    rows = re.findall(r"<tr>(.*?)</tr>", found)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in cells]


# ---------------------------------------------------------------- the whole


def test_nothing_is_called_a_query_that_was_not_asked(tmp_path, monkeypatch):
    """Neither the starting data nor values that a colleague brought."""
    drawn = []

    def note_words(figure):
        drawn.extend(text.get_text() for text in figure.findobj(Text))
        return b"picture"

    monkeypatch.setattr("wrlso.report.page._to_png", note_words)
    opt = make_optimizer().fit(words(), words().sum(axis=1))
    for expected in ("starting data", "values told since the start"):
        page = write_report(opt, tmp_path / f"{expected}.html").read_text(encoding="utf-8")
        assert expected in drawn
        assert not [text for text in [page, *drawn] if "quer" in text.lower()]
        opt.tell(opt.ask(2), [1.0, 2.0])


def test_a_campaign_with_everything(busy, tmp_path):
    path = write_report(busy, tmp_path / "a" / "campaign.html", title="Eight a week")
    page = read(path)
    assert path == tmp_path / "a" / "campaign.html"
    assert "Eight a week" in page.text
    assert f"Best so far{busy.best_y_:.6g}" in page.text
    assert "Values4230 starting, 12 told since" in page.text
    assert "Pending3" in page.text
    assert "Failed1" in page.text
    assert "Trainings3" in page.text
    assert "The model was retrained 2 times" in page.text
    text = path.read_text(encoding="utf-8")
    best = rows_of(text, "The best 20 of 42 points")
    assert [row[2] for row in best[1:]] == [f"{y:.6g}" for y in sorted(busy.y_)[:-21:-1]]
    observed = rows_of(text, "Points with a value")
    assert [row[2] for row in observed[1:]] == [f"{y:.6g}" for y in busy.y_]
    assert observed[1][1] == text_of(busy.X_[0])
    waiting = rows_of(text, "Points asked for")
    assert [row[1] for row in waiting[1:]] == [text_of(x) for x in busy.pending_]
    assert all(" ± " in row[2] and " ± " in row[3] for row in waiting[1:])
    assert len(rows_of(text, "Points whose experiments failed")) == 2
    assert len(rows_of(text, "Trainings;")) == 4
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert all(re.fullmatch(stamp, row[-1]) for row in (best + observed + waiting) if row[0].isdigit())
    assert re.search(f"results from {stamp} to {stamp} UTC", page.text)


def test_the_pictures_beside_the_page_are_those_in_it(busy, tmp_path):
    path = write_report(busy, tmp_path)
    folder = tmp_path / "report-figures"
    names = {"progress", "prediction", "calibration", "latent", "weights", "reconstruction", "loss"}
    assert {picture.stem for picture in folder.iterdir()} == names
    sources = read(path).values("src")
    for picture in folder.iterdir():
        data = picture.read_bytes()
        assert f"data:image/png;base64,{base64.b64encode(data).decode()}" in sources
        height, width, _ = imread(BytesIO(data), format="png").shape
        assert width > height > 300


def test_a_new_report_replaces_the_old_one(tmp_path, undrawn):
    (tmp_path / "report-figures").mkdir()
    stale, own = tmp_path / "report-figures" / "calibration.png", tmp_path / "report-figures" / "mine.png"
    for picture in (stale, own):
        picture.write_bytes(b"old")
    (tmp_path / "report.html").write_text("old")
    x = words()[:2]
    read(write_report(make_optimizer().tell(x, [1.0, 2.0]), tmp_path))
    assert not stale.exists()
    assert own.exists()  # not a picture of ours
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith("tmp")] == []


def test_pictures_can_be_left_out(busy, tmp_path):
    path = write_report(busy, str(tmp_path / "only.html"), pictures=False)
    assert [p.name for p in tmp_path.iterdir()] == ["only.html"]
    assert len(read(path).values("src")) == 7


@pytest.mark.parametrize(
    ("out", "expected"),
    [("x.html", "x.html"), ("x.HTM", "x.HTM"), ("new/deep", "new/deep/report.html"), ("", "report.html")],
)
def test_where_it_goes(out, expected, tmp_path, undrawn):
    opt = make_optimizer().tell(words()[:1], [1.0])
    assert write_report(opt, tmp_path / out, pictures=False) == tmp_path / expected


def test_what_cannot_be_written_is_an_error_before_anything_is(busy, tmp_path):
    (tmp_path / "taken").write_text("a file")
    for out in ("report.pdf", "taken"):
        with pytest.raises(ParameterError, match=r"out must be a folder or a file name that ends in .html"):
            write_report(busy, tmp_path / out)
    with pytest.raises(NotFittedError, match="call fit"):
        write_report(make_optimizer(), tmp_path / "new.html")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_campaign_that_was_saved_and_loaded_has_the_same_report(busy, tmp_path, undrawn):
    folder = tmp_path / "campaign"
    busy.save(folder)
    options = {"encoder": busy.encoder, "decoder": busy.decoder, "autosave": False}
    loaded = WeightedRetrainingOptimizer.load(folder, **options)
    one, two = (
        write_report(opt, tmp_path / name).read_text(encoding="utf-8")
        for opt, name in ((busy, "a.html"), (loaded, "b.html"))
    )
    made = r"made [-\d :]* UTC"
    assert re.sub(made, "", one) == re.sub(made, "", two)


def test_a_report_changes_nothing(tmp_path):
    opt, twin = campaign(n=12, n_asks=1, pending=1), campaign(n=12, n_asks=1, pending=1)
    global_state = torch.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in opt.model_.state_dict().items()}
    opt.model_.train(True)
    write_report(opt, tmp_path)
    assert opt.model_.training
    assert torch.equal(torch.get_rng_state(), global_state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in opt.model_.state_dict().items())
    np.testing.assert_array_equal(opt.ask(3), twin.ask(3))


# ---------------------------------------------------------------- few data, many, and odd ones


def tell_some(values, **options):
    X = words()[: len(values)]
    return make_optimizer(**options).tell(X, values)


CASES = {
    "nothing measured": lambda: make_optimizer().fit(words()),
    "nothing measured, some pending": lambda: (opt := make_optimizer().fit(words()), opt.ask(2))[0],
    "one value": lambda: tell_some([1.5]),
    "two values": lambda: tell_some([1.5, -2.0]),
    "one value, trained": lambda: tell_some([1.5]).retrain(),
    "equal values": lambda: tell_some([3.0] * 12).retrain(),
    "hardly different values": lambda: tell_some([1.0, np.nextafter(1.0, 2)] * 6).retrain(),
    "all failed": lambda: tell_some([None, None, None]),
    "never trained": lambda: tell_some(list(range(20))),
    "huge values": lambda: tell_some([1e200, -1e200] + [1e199] * 10).retrain(),
    "tiny values": lambda: tell_some([1e-200 * i for i in range(12)]).retrain(),
    "a mix": lambda: make_optimizer().fit(words(), [None, np.nan, *range(38)]),
    "one dimension": lambda: campaign(n=6, pending=1, **parts(1)),
    "two dimensions": lambda: campaign(n=6, pending=1, retrain_every=None, **parts(2)),
    "seven dimensions, one point": lambda: tell_some([1.0], **parts(7)),
}  # fmt: skip


def parts(d):
    encoder, decoder = networks(d)
    return {"encoder": encoder, "decoder": decoder}


def test_text_that_has_no_utf8(tmp_path, undrawn):
    opt = make_optimizer().tell(words()[:1], [1.0])
    assert r"half \ud800" in read(write_report(opt, tmp_path, title="half \ud800")).text


@pytest.mark.parametrize("case", CASES)
def test_odd_campaigns(case, tmp_path, monkeypatch):
    # laid out, which is where odd numbers would fail, but not painted
    monkeypatch.setattr("wrlso.report.page._to_png", lambda figure: figure.draw_without_rendering() or b"")
    read(write_report(CASES[case](), tmp_path))


def test_what_is_not_there_is_said(tmp_path, undrawn):
    text = read(write_report(CASES["all failed"](), tmp_path)).text
    assert "No value has been told yet." in text
    assert "Failed (3)" in text
    assert "The model has not been trained yet." in text
    text = read(write_report(CASES["one value, trained"](), tmp_path)).text
    assert "No point is pending" in text
    assert "At least 10 values are needed to judge predictions." in text
    assert "No experiment has failed." in text
    text = read(write_report(CASES["nothing measured, some pending"](), tmp_path)).text
    assert "Too few values are known to predict theirs." in text
    assert "best 0" not in text


def test_minimization_in_the_users_own_sign(tmp_path, undrawn):
    X = words(30)
    y = X.sum(axis=1) + 10.0
    opt = make_optimizer(direction="minimize").fit(X, y)
    for _ in range(12):
        x = opt.ask()
        opt.tell(x, float(x.sum()) + 10.0)
    opt.ask()
    path = write_report(opt, tmp_path)
    assert f"Best so far{opt.best_y_:.6g}starting data: {y.min():.6g}" in read(path).text
    best = rows_of(path.read_text(encoding="utf-8"), "The best 20")
    assert [float(row[2]) for row in best[1:]] == sorted(opt.y_)[:20]
    found = asked_predictions(Campaign.of(opt))
    assert (found.mean > 5).all()  # not mirrored at 0
    held_out = held_out_predictions(Campaign.of(opt))
    assert (held_out.mean > 5).all()
    mean, _ = predict_now(Campaign.of(opt), Campaign.of(opt).pending)
    assert (mean > 5).all()


def test_all_that_was_asked_is_drawn_however_much_there_is(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr("wrlso.report.latent._MOST", 10)
    opt = campaign()
    for _ in range(3):
        opt.tell(opt.ask(), -100.0)  # the worst of all
    text = read(write_report(opt, tmp_path)).text
    assert "starting data (10), asked and told (3)" in text
    assert "13 of 33 points with a value are drawn" in text


def test_predictions_from_a_part_of_the_data_say_so(tmp_path, undrawn, monkeypatch):
    for module in ("snapshot", "points"):
        monkeypatch.setattr(f"wrlso.report.{module}.N_FITTED", 20)
    text = read(write_report(campaign(pending=1), tmp_path)).text
    assert "Those of now are from 20 of the 30 values, the best among them." in text


def test_a_big_campaign_makes_a_small_report(tmp_path):
    every = ((np.arange(2**N_LETTERS)[:, None] >> np.arange(N_LETTERS)) & 1).astype(np.uint8)
    opt = make_optimizer(surrogate=Memory(), trainer=Trainer(initial_epochs=0))
    opt.tell(every[:3600], every[:3600].sum(axis=1)).tell(every[3600:], [None] * 496).retrain()
    path = write_report(opt, tmp_path)
    text = read(path).text
    assert path.stat().st_size < 1_500_000
    assert "in the order of their first value (the last 500 of 3,600)" in text
    assert "2,000 of 3,600 points with a value are drawn" in text
    assert "each of 600 points (half of them the best of 3,600, the rest spread evenly)" in text
    observed = rows_of(path.read_text(encoding="utf-8"), "Points with a value")
    assert [observed[1][0], observed[-1][0]] == ["3101", "3600"]


# ---------------------------------------------------------------- hostile content


class Angles:
    """Codec: words of 12 letters, each an angle or a quote."""

    letters = np.array(['"', "<"])

    def transform(self, X):
        return np.array([[x == "<" for x in word] for word in X], dtype=np.uint8)

    def inverse_transform(self, array):
        return ["".join(self.letters[row]) for row in np.asarray(array, dtype=int)]


class Hostile:
    """A feasible that has something to say."""

    def __call__(self, x):
        return True

    def __repr__(self):
        return "<script src='x.js'>alert(1)</script><img src=x onerror=alert(1)>"


def test_everything_that_users_give_is_escaped(tmp_path, undrawn):
    X = Angles().inverse_transform(words(20))
    opt = make_optimizer(codec=Angles(), feasible=Hostile())
    opt.fit(X, [float(x.count("<")) for x in X]).ask(2)
    path = write_report(opt, tmp_path, title='</title><script>alert("x")</script>')
    text = read(path).text  # fails for a tag or attribute that is not ours
    assert '</title><script>alert("x")</script>' in text
    assert repr(Hostile()) in text
    assert all(x in text for x in X)


def test_a_registered_drawing_cannot_do_anything(monkeypatch):
    monkeypatch.setattr(drawings, "_registered", {})
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    register_drawing(Fraction, lambda x: svg)
    page = Page(draw(Fraction(1, 3), None))
    assert page.tags == ["img"]
    assert page.values("alt") == page.values("title") == ["Fraction(1, 3)"]
    (source,) = page.values("src")
    assert base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode() == svg


def test_the_text_of_a_drawing_is_escaped(monkeypatch):
    monkeypatch.setattr(drawings, "_registered", {str: lambda x: "<svg></svg>"})
    x = '"><script>alert(1)</script>'
    page = Page(draw(x, None))
    assert page.tags == ["img"]
    assert page.values("alt") == [x]


# ---------------------------------------------------------------- drawings


def test_drawings_by_model_and_by_type(monkeypatch, caplog):
    monkeypatch.setattr(drawings, "_registered", {})

    class Parent:
        pass

    class Model(Parent):
        pass

    def drawn(x, model):
        found = re.search(r"base64,([^\"]*)", draw(x, model))
        return found and base64.b64decode(found[1]).decode()

    register_drawing(str, lambda x: f"<svg>text {x}</svg>")
    assert drawn("CCO", Model()) == "<svg>text CCO</svg>"
    register_drawing("Parent", lambda x: f"<svg>molecule {x}</svg>")
    assert drawn("CCO", Model()) == "<svg>molecule CCO</svg>"
    assert drawn("CCO", None) == "<svg>text CCO</svg>"
    assert drawn(7, None) is None

    def broken(x):
        raise ValueError("not a molecule")

    register_drawing("Model", broken)
    assert draw("C<O", Model()) == "<code>C&lt;O</code>"
    assert "not a molecule" in caplog.text
    assert draw("CCO", Model(), registered=False) == "<code>CCO</code>"


def pixels_of(x, **options):
    page = Page(draw(x, None, **options))
    assert page.tags == ["img"]
    data = base64.b64decode(page.values("src")[0].removeprefix("data:image/png;base64,"))
    return imread(BytesIO(data), format="png")[:, :, :3]


@given(st.integers(3, 9), st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_images_are_drawn_pixel_by_pixel(height, width, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 2, (height, width)).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(image), np.repeat(image[:, :, None], 3, axis=2))
    grey = rng.integers(2, 256, (height, width)).astype(np.uint8)
    np.testing.assert_allclose(pixels_of(grey)[:, :, 0], grey / 255, atol=0.005)
    colours = rng.random((3, height, width + 7))
    np.testing.assert_allclose(pixels_of(colours), np.moveaxis(colours, 0, 2), atol=0.005)
    signed = rng.normal(size=(height, width))
    shown = pixels_of(signed)[:, :, 0]
    assert shown.ravel()[signed.argmin()] == 0
    assert shown.ravel()[signed.argmax()] == 1


def test_large_images_are_thinned_and_odd_ones_survive():
    assert max(pixels_of(np.eye(1000)).shape) <= 64
    assert pixels_of(np.full((5, 5), np.nan)).max() == 0
    assert pixels_of(np.full((5, 5), 7.0)).max() == 0


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ("CCO", "CCO"),
        ("a\nb", "a b"),
        (3, "3"),
        ((1, "a"), "(1, 'a')"),
        (np.arange(3), "[0 1 2]"),
        (np.array([0.123456, 2.0]), "[0.1235 2]"),
        (np.arange(99), "[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 …]"),
        (np.zeros((2, 9)), "array of shape 2 × 9"),
        (np.array(2.5), "2.5"),
        (torch.tensor([1, 2]), "[1 2]"),
        ("C" * 300, "C" * 199 + "…"),
    ],
)
def test_texts(x, expected):
    assert text_of(x) == expected
    assert draw(x, None) == f"<code>{expected.replace(chr(39), '&#39;')}</code>"


# ---------------------------------------------------------------- numbers


@given(st.lists(st.integers(-20, 20), max_size=60), st.integers(2, 40))
def test_thinning_keeps_the_best_half_and_the_order(values, most):
    y = np.array(values, dtype=float)
    kept = thin(y, most)
    assert len(kept) == min(len(y), most)
    assert (np.diff(kept) > 0).all()
    if len(y) > most:
        assert sorted(y[kept])[-(most // 2) :] == sorted(y)[-(most // 2) :]


class Memory:
    """A surrogate that knows what it saw and nothing else."""

    space = "features"

    def __init__(self):
        self.seen = {}

    def fit(self, X, y, rng):
        self.seen = {x.tobytes(): float(v) for x, v in zip(X, y, strict=True)}
        return self

    def condition_on(self, X, y):
        return self

    def predict(self, X):
        known = [self.seen.get(x.tobytes(), -100.0) for x in X]
        return torch.tensor(known), torch.ones(len(known))


def test_held_out_points_are_held_out():
    X = words(30)
    opt = make_optimizer(surrogate=Memory(), retrain_every=None).fit(X, X.sum(axis=1))
    found = held_out_predictions(Campaign.of(opt))
    np.testing.assert_array_equal(found.mean, np.full(30, -100.0))
    np.testing.assert_array_equal(found.measured, opt.y_)
    assert not found.in_advance
    mean, deviation = predict_now(Campaign.of(opt), Campaign.of(opt).rows)
    np.testing.assert_array_equal(mean, opt.y_)  # all are known here
    np.testing.assert_array_equal(deviation, np.ones(30))


def test_held_out_predictions_of_a_smooth_function_are_good():
    encoder = nn.Linear(2, 4)
    with torch.no_grad():
        encoder.weight.copy_(torch.eye(4, 2))
        encoder.bias.zero_()
    X = np.random.default_rng(0).normal(size=(60, 2))
    opt = make_optimizer(encoder=encoder, decoder=nn.Linear(2, 2), likelihood="gaussian")
    opt.tell(X, np.sin(X[:, 0]) + X[:, 1])
    found = held_out_predictions(Campaign.of(opt))
    assert np.corrcoef(found.mean, found.measured)[0, 1] > 0.95


def test_predictions_in_advance_come_first_and_are_named(tmp_path, undrawn):
    few = campaign(n_asks=9)
    assert asked_predictions(Campaign.of(few)) is None
    assert "Cross-validation: each of 39 points" in read(write_report(few, tmp_path)).text
    x = few.ask()
    few.tell(x, value(x))
    found = asked_predictions(Campaign.of(few))
    expected = [r.prediction for r in few.history_ if r.prediction and r.status == "observed"]
    np.testing.assert_array_equal(np.column_stack([found.mean, found.deviation]), expected)
    text = read(write_report(few, tmp_path)).text
    assert "These 10 predictions were made when the points were asked" in text
    assert "Cross-validation" not in text


def test_the_reports_surrogate_leaves_the_users_alone():
    surrogate = SparseGP(n_inducing=400, max_iter=5)
    opt = make_optimizer(surrogate=surrogate).fit(words(), words().sum(axis=1))
    held_out_predictions(Campaign.of(opt))
    assert surrogate.n_inducing == 400
    assert not hasattr(surrogate, "posterior_")


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (None, ""),
        ((381.64, 130.0), "382 ± 130"),
        ((7.8756, 0.8312), "7.88 ± 0.83"),
        ((-0.00012345, 0.000012), "-0.000123 ± 0.000012"),
        ((1e9, 3.0), "1e+09 ± 3"),
        ((2.0, 0.0), "2.000000 ± 0.000000"),
        ((1.0, 1e-30), "1 ± 1e-30"),
    ],
)
def test_predictions_are_rounded_by_their_error(prediction, expected):
    assert _expected(prediction) == expected


def test_replicates_and_corrections_are_shown(tmp_path, undrawn):
    X = words(12)
    opt = make_optimizer().tell(X, X.sum(axis=1)).tell(X[0], 9.0)
    opt.update(X[1], 4.5)
    rows = rows_of(write_report(opt, tmp_path).read_text(encoding="utf-8"), "Points with a value")
    assert rows[0][3] == "Replicates"
    deviation = np.std([float(X[0].sum()), 9.0], ddof=1)
    assert rows[1][3] == f"2 (sd {deviation:.2g})"
    assert rows[2][2:5] == ["4.5", "", "starting data, corrected"]


def test_tables_leave_out_empty_columns():
    page = Page(table("c", ["No.", "a", "b"], [["1", "", "x"], ["2", "", "y"]], numbers=["b"]))
    assert page.text == "cNo.b\n\n1x\n2y\n"
    assert page.values("class", "td") == ["number", "number"]


def test_a_lucky_measurement_is_told_from_what_is_expected(tmp_path, undrawn):
    X = words(30, seed=4)
    y = X.sum(axis=1).astype(float)
    opt = make_optimizer().fit(X[:29], y[:29])
    row = opt._session.recommended()
    opt.tell(X[29], y.max() + 1.0, sd=50.0)
    assert np.array_equal(opt.best_x_, X[29])
    page = Page(write_report(opt, tmp_path).read_text(encoding="utf-8"))
    assert f"expects most of another point, id {row}, measured as {y[row]:g}" in page.text
    opt.tell(X[row], y.max() + 2.0)
    assert "may be a lucky one" not in write_report(opt, tmp_path / "sure.html").read_text(encoding="utf-8")
