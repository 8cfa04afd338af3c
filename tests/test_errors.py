"""The tree of exceptions, and how their messages show a bad value."""

import ast
import inspect

import pytest

from cdb import errors
from cdb.errors import CalibError, NotFound, StoreFull, StoreRefused, shown

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, BaseException)
]


LONG = ["x" * 9999, b"x" * 9999, ["x"] * 9999, 10**5000, [10**5000], object()]


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
def test_a_value_is_cut_to_what_a_sentence_holds(value):
    assert len(shown(value)) < 100


@pytest.mark.parametrize("value", ["pedestals", "a\nb", 7, None, 1.5, ("a", 2)])
def test_a_short_value_is_shown_as_it_is_written(value):
    assert ast.literal_eval(shown(value)) == value


@pytest.mark.parametrize("error", [NotFound, StoreFull, StoreRefused])
def test_a_message_reads_as_a_sentence(error):
    assert str(error("no pedestals of 'epix'")) == "no pedestals of 'epix'"


@pytest.mark.parametrize("error", CLASSES)
def test_the_page_draws_every_error_with_the_built_in_that_it_is(error):
    (line,) = [row for row in errors.__doc__.splitlines() if error.__name__ in row.split()]
    built_ins = [base for base in error.__bases__ if base.__module__ == "builtins"]
    assert issubclass(error, CalibError)
    assert error is CalibError or all(base.__name__ in line for base in built_ins)
