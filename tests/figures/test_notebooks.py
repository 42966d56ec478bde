"""In a notebook estimators show their diagram and their training, findings what they say, and all words are text."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import regen
from regen.figures import chart as chart_module
from regen.inspection import Finding

PLOTLY = "application/vnd.plotly.v1+json"


class Words(HTMLParser):
    """The text of some HTML, and whether every tag that opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.open = "", list[str]()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("input", "br", "path", "meta", "img", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data


def fitted(**training: Any) -> Any:
    """A forecaster of a wave."""
    model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=2, random_state=0, training=training or None)
    return model.fit(np.sin(np.arange(90) / 3))


def read(html: str) -> Words:
    """The words of some HTML."""
    words = Words()
    words.feed(html)
    return words


def test_a_trained_estimator_tells_of_its_training() -> None:
    """Scikit-learn's diagram, then epochs, why it ended, and the loss held out, first and best."""
    model = fitted()
    bundle = model._repr_mimebundle_()
    assert bundle["text/plain"] == repr(model)
    html = bundle["text/html"]
    assert "sk-top-container" in html
    losses = model.epochs_["validation.loss"]
    line = (
        f"Trained for 2 epochs. {model.stopped_} The loss on the validation data was {losses[0]:.3g} at first and"
        f" {min(losses):.3g} at its best."
    )
    assert html.endswith(f"<p>{line}</p>")
    assert model._repr_html_() == html or model._repr_html_().endswith(f"<p>{line}</p>")
    assert read(html).open == []


def test_with_nothing_held_out() -> None:
    """The loss is that of the training data, and is named so."""
    model = fitted(validation=0)
    losses = model.epochs_["train.loss"]
    assert f"The loss on the training data was {losses[0]:.3g} at first" in model._training_summary()


def test_an_untrained_estimator_shows_its_diagram() -> None:
    """Before fit there is no line on training; with display="text" there is no HTML."""
    model = regen.Autoencoder()
    assert "Trained for" not in model._repr_mimebundle_()["text/html"]
    with config_context(display="text"):
        assert list(fitted()._repr_mimebundle_()) == ["text/plain"]
        assert not hasattr(model, "_repr_html_")


def test_in_a_pipeline_it_is_a_block_of_the_diagram() -> None:
    """The diagram of a pipeline holds the estimator as any other."""
    html = make_pipeline(StandardScaler(), regen.Autoencoder())._repr_html_()
    assert "StandardScaler" in html and "Autoencoder" in html


def test_what_ended_training_is_text() -> None:
    """Words with signs of HTML in them are shown as they are."""
    model = fitted()
    model.stopped_ = "<script>alert(1)</script>"
    assert "<script>alert" not in model._repr_html_inner()


class Nasty(Finding):
    """A finding about a column with an odd name."""

    def sentences(self) -> list[str]:
        return ["<b>x</b> matters.", "Nothing else."]


def test_findings_show_their_sentences() -> None:
    """A paragraph for each sentence, as text; the figure of a finding shows itself."""
    assert Nasty()._repr_html_() == "<p>&lt;b&gt;x&lt;/b&gt; matters.</p><p>Nothing else.</p>"
    found = regen.inspect.loss_per_copy(fitted(), np.sin(np.arange(90) / 3))
    assert read(found._repr_html_()).text == "".join(found.sentences())


def test_charts_show_themselves() -> None:
    """A chart is plotly's where there is plotly, and an SVG on white where there is none, as in exported HTML."""
    chart = regen.inspect.loss_per_copy(fitted(), np.sin(np.arange(90) / 3)).plot()
    bundle = chart._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "image/svg+xml", PLOTLY]
    assert bundle["text/plain"] == chart.describe()
    assert bundle["image/svg+xml"].startswith('<svg style="background:#ffffff" ')
    assert {"data", "layout"} <= set(bundle[PLOTLY])
    assert list(chart._repr_mimebundle_(include=["image/svg+xml"])) == ["image/svg+xml"]
    assert list(chart._repr_mimebundle_(exclude={"text/plain"})) == ["image/svg+xml", PLOTLY]


def test_charts_without_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without plotly the picture is the SVG; plotly is not needed."""
    monkeypatch.setattr(chart_module, "installed", lambda package: False)
    monkeypatch.setattr(chart_module, "plotly_figure", None)
    bundle = regen.figures.loss_per_step([2.0, 1.0])._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "image/svg+xml"]
