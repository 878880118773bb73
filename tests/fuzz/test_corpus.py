"""The inputs that found faults, and some thousand made of them, given to the targets again."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.wire import mutate

CORPUS = Path(__file__).parent / "corpus"
EACH = 15


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_and_what_is_made_of_it_find_nothing(target: str) -> None:
    """Repeatable: the seed is the test's."""
    chance = random.Random(20261130)  # noqa: S311 - repeatable, not secret
    inputs = [file.read_bytes() for file in sorted((CORPUS / target).iterdir())]
    assert len(inputs) > 10
    for data in inputs:
        TARGETS[target](data)
        for _ in range(EACH):
            TARGETS[target](mutate(data[:4096], chance))
