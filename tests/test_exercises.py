"""The graded exercises: every oracle beside its twin, every known wrong answer told by its own hint."""

import itertools

import pytest
import torch

from ncsn_lib.exercises import ENTRIES, Exercise, Question, check
from ncsn_lib.exercises.judging import alike
from ncsn_lib.exercises.observing import as_tensors, copied

SEEDS = range(20)
EXERCISES = [entry for entry in ENTRIES.values() if isinstance(entry, Exercise)]
QUESTIONS = [entry for entry in ENTRIES.values() if isinstance(entry, Question)]


def values(exercise, answer, seed):
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    return {name: as_tensors(answer(*copied(case).values())) for name, case in cases.items()}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_the_oracle_is_its_twin(exercise):
    for seed in SEEDS:
        assert alike(values(exercise, exercise.oracle, seed), values(exercise, exercise.twin, seed), 10 * exercise.rtol)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_every_known_answer_gets_its_verdict(exercise):
    for seed in SEEDS:
        assert check(exercise.id, exercise.oracle, seed=seed)
        for name, wrong in exercise.wrong.items():
            verdict = check(exercise.id, exercise.mistake(name), seed=seed)
            assert (verdict.mistake, verdict.sentence) == (name, wrong.hint)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_no_two_answers_agree(exercise):
    for seed in SEEDS:
        answers = {"right": exercise.oracle} | {name: exercise.mistake(name) for name in exercise.wrong}
        found = {name: values(exercise, answer, seed) for name, answer in answers.items()}
        for first, second in itertools.combinations(found, 2):
            assert not alike(found[first], found[second], exercise.rtol), (first, second)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_the_stub_is_told_as_such(exercise):
    namespace = {}
    exec(exercise.stub, namespace)
    assert check(exercise.id, namespace[exercise.function]).sentence == "not written yet."
    for case in exercise.cases(torch.Generator().manual_seed(0)).values():
        assert list(case) == exercise.stub_arguments()
    assert list(exercise.example[1]) == exercise.stub_arguments()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_every_number_gets_its_verdict(question):
    assert check(question.id, question.key())
    assert check(question.id, None).mistake == "stub"
    for value, hint in question.wrong.items():
        assert check(question.id, value).sentence == hint
    assert question.key() not in question.wrong
