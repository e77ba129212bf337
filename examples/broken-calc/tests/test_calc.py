import pytest
from calc import evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2", 3),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("8 / 4 / 2", 1),
        ("-3 + 5", 2),
        ("7 - 2 - 1", 4),
        ("10 - 4 + 3", 9),
    ],
)
def test_value(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize("text", ["", "2 + $"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match="unexpected"):
        evaluate(text)
