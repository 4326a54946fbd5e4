"""YAML of anybody's: what is too large, too deep or no YAML is one line, and takes no time."""

from pathlib import Path

import pytest

from repr_toolkit.config.recipe import apply_settings, load_recipe
from repr_toolkit.config.yaml_text import parse_yaml, to_yaml
from toys.processes import SHARED_CASES

ALIASES = "a0: &a0 [x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]\n" for i in range(1, 9)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join(9 * [f'*a{i - 1}'])}]}}\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ALIASES, "more than 100,000 values"),
        (MERGED, "more than 100,000 values"),
        ("a: &a [*a]", "more than 100,000 values"),
        ("[" * 10_000, "more than 50 levels deep"),
        ("{a: " * 10_000, "more than 50 levels deep"),
        ("- " * 10_000 + "x", "more than 50 levels deep"),
        ("x" * (2 << 20), "more than 1,048,576 characters"),
        ("a: 1" + ":1" * 100_000, "a whole number of 200,001 characters"),
        ("a: 0x" + "f" * 5_000, "a whole number of 5,002 characters"),
        ("2026-13-40", "month must be in 1..12"),
        ("a: 1\na: 2", "'a' stands twice"),
        ("{[a]: 1, [a]: 2}", "unhashable key"),
        ("a: {b: 1, &eatures: 6}", "the key None is no text; put it into quotes"),
        ("{2026-01-01: a}", "the key datetime.date(2026, 1, 1) is no text"),
        ("{a: 1, 2: 3}", "the key 2 is no text"),
        ("{2: 3, a: 1}", "the key 2 is no text"),
        ("{2: 3, 1.5: 1}", "the key 1.5 is no text"),
        ("a: [\n", "expected the node content"),
        ("!!python/object/apply:os.system [touch code_ran]", "could not determine a constructor"),
        ("x: !!int ''", "a value is not of its type (IndexError"),
        ("x: !!timestamp 'abc'", "a value is not of its type (AttributeError"),
        ("a: !!bool x", "a value is not of its type (KeyError: 'x')"),
        ("a: " + "1:" * 200 + "1.5", "a value is not of its type (OverflowError"),
        ("a: \x00", "special characters are not allowed"),
    ],
)
def test_what_no_recipe_can_be(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="no valid YAML: ") as refused:
        parse_yaml(text)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [{0: "cat", 7: "dog"}, {0.5: 1, 1.5: 2}, {None: 1}, {True: 1}])
def test_keys_may_be_of_another_type_that_json_knows(value: dict[object, object]) -> None:
    assert parse_yaml(to_yaml(value)) == value


def test_many_keys_are_no_matter() -> None:
    assert len(parse_yaml("\n".join(f"k{i}: {i}" for i in range(8_000)))) == 8_000


def test_aliases_that_a_configuration_may_have() -> None:
    assert parse_yaml("{a: &x [1, 2], b: *x}") == {"a": [1, 2], "b": [1, 2]}


def test_every_way_in_names_what_it_read(tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(ALIASES)
    with pytest.raises(ValueError, match=r"bomb\.yaml: no valid YAML: .*values"):
        load_recipe(tmp_path / "bomb.yaml")
    with pytest.raises(ValueError, match=r"trainer\.x: '\[\[.* is no valid YAML: .*deep"):
        apply_settings(load_recipe("bottleneck_mnist5k"), {"trainer.x": "[" * 100})


@pytest.mark.skipif(not SHARED_CASES.is_dir(), reason="no cases beside the checkout")
def test_the_bomb_beside_the_checkout() -> None:
    with pytest.raises(ValueError, match=r"yaml_bomb\.yaml: no valid YAML: .*values"):
        load_recipe(SHARED_CASES / "yaml_bomb.yaml")
