"""From an import path to a class, a function, or what a class has."""

import pytest

from repr_toolkit.support.importing import import_callable


class Outer:
    class Inner:
        @classmethod
        def make(cls) -> str:
            return cls.__name__

    number = 3


def test_what_a_class_has_is_found_by_its_path() -> None:
    assert import_callable(f"{__name__}.Outer.Inner")() is not None
    assert import_callable(f"{__name__}.Outer.Inner.make")() == "Inner"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("Outer.Inner.mke", r"Outer\.Inner has no class or function mke \(did you mean make\?\)"),
        ("Outer.Innr.make", "cannot be imported: No module named"),
        ("Outer.number", "Outer has no class or function number"),
        ("Outer.number.real", "cannot be imported: No module named"),
        ("pytest.raises", "cannot be imported"),  # a module within a module is no class
    ],
)
def test_paths_that_lead_nowhere(path: str, told: str) -> None:
    with pytest.raises(ImportError, match=told):
        import_callable(f"{__name__}.{path}")
