"""What an ask costs: the record of the benchmark."""

import pytest

from wrlso.benchmarks.speed.asks import seconds_of_asks


def test_both_optimizers_answer_and_are_timed() -> None:
    result = seconds_of_asks(60, 20, 3, 3)
    assert set(result["seconds"]) == {"default", "former"}
    for name, values in result["seconds"].items():
        assert len(values) == 3
        assert min(values) > 0
        assert result["median"][name] == pytest.approx(sum(values[1:]) / 2)
    assert result["ratio"] == result["median"]["default"] / result["median"]["former"]
