"""The graded exercises: every oracle beside its twin, every known wrong answer told by its own hint."""

import contextlib
import itertools
import math
import threading

import pytest
import torch

from ncsn_lib import exercises
from ncsn_lib.exercises import ENTRIES, Exercise, Question, check
from ncsn_lib.exercises.judging import alike, judge
from ncsn_lib.exercises.observing import as_tensors, copied, observe

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


def test_there_are_enough_of_them():
    chapters = [entry.chapter for entry in ENTRIES.values()]
    assert len(ENTRIES) >= 70
    assert sum(len(entry.wrong) for entry in ENTRIES.values()) >= 210
    # The ledger teaches no method, so it has none.
    assert {chapter[:2] for chapter in chapters} == {f"{number:02d}" for number in range(27)} - {"20"}
    assert all(chapters.count(chapter) >= 2 for chapter in chapters if chapter[:3] != "05b")
    assert chapters == sorted(chapters)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.id)
def test_hints_read_as_sentences(entry):
    hints = [wrong.hint for wrong in entry.wrong.values()] if isinstance(entry, Exercise) else [*entry.wrong.values()]
    hints += [probe.hint for probe in entry.probes] if isinstance(entry, Exercise) else []
    assert len(set(hints)) == len(hints) >= 3
    for sentence in hints:
        assert sentence[-1] in ".?", sentence
        assert len(sentence.split()) <= 25, sentence
        assert sentence[0].islower() or not sentence[1].islower(), sentence
    for sentence in (entry.goal, entry.hint):
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"


right = ENTRIES["langevin-step"].twin


def in_place(x, score, step_size, noise):
    x += step_size / 2 * score + math.sqrt(step_size) * noise
    return x


def endless(*arguments):
    while True:
        pass


def stubborn(*arguments):
    while True:
        with contextlib.suppress(Exception):
            endless()


VERDICTS = {
    "draws": lambda x, score, step_size, noise: right(x, score, step_size, torch.randn_like(x)),
    "changed": in_place,
    "factor": lambda *arguments: 3 * right(*arguments),
    "shape": lambda *arguments: right(*arguments)[0],
    "finite": lambda *arguments: right(*arguments) / 0,
    "raised": lambda *arguments: [][1],
    "nothing": lambda *arguments: None,
    "type": lambda *arguments: "right",
    "unknown": lambda x, score, step_size, noise: x + noise - 7,
    "case": lambda x, score, step_size, noise: right(x, score, step_size, noise) + (7 if step_size < 0.1 else 0),
}
SAID = {
    "draws": "two runs on the same arguments differ: draw nothing, the draws are arguments.",
    "changed": "the values are right, but the function changes its argument x in place.",
    "factor": "right up to the factor 3.",
    "shape": "the shape is (2,), and should be (4, 2).",
    "finite": "not all values are finite in the case 'a usual step'.",
    "raised": "the function raised IndexError: list index out of range",
    "nothing": "the function returned nothing: is there a return?",
    "type": "the function returned a str, where a tensor or a number was asked for.",
    "unknown": "not yet. By hand: for x = 1, the score -1, alpha = 0.04 and z = 1 the answer is [1.18], yours is [-5].",
    "case": "right in the case 'a usual step', wrong in the case 'a small step'.",
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_what_is_said_of_an_answer_that_is_not_known(kind):
    verdict = check("langevin-step", VERDICTS[kind])
    assert (verdict.mistake, verdict.sentence, bool(verdict)) == (kind, SAID[kind], False)
    assert repr(verdict) == f"langevin-step: {SAID[kind]}"


def test_right_is_right_and_leaves_the_draws_alone():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    verdict = check("langevin-step", right)
    assert verdict
    assert repr(verdict) == "langevin-step: right."
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize("id", ["dsm-loss", "ncsn-loss", "implicit-loss", "ssm-loss"])
def test_a_lost_gradient_is_told(id):
    exercise = ENTRIES[id]
    lost = lambda *arguments: exercise.oracle(*arguments).detach()  # noqa: E731
    verdict = check(id, lost)
    assert (verdict.mistake, verdict.sentence) == ("probe 0", exercise.probes[0].hint)


@pytest.mark.parametrize("answer", [endless, stubborn])
@pytest.mark.parametrize("on_main", [True, False])
def test_an_endless_loop_ends(answer, on_main):
    exercise, seen = ENTRIES["langevin-step"], []
    run = lambda: seen.append(observe(exercise, answer, 0, seconds=0.2))  # noqa: E731
    if on_main:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(20)
    verdict = judge(exercise, seen[0], 0)
    assert verdict.mistake == "time"
    assert verdict.sentence == "the function did not end within 0.2 s: is there a loop that never ends?"


def test_another_thread_gets_the_same_verdict():
    found = []
    for answer in (right, VERDICTS["raised"], VERDICTS["factor"]):
        thread = threading.Thread(target=lambda answer=answer: found.append(check("langevin-step", answer)))
        thread.start()
        thread.join()
    assert [verdict.mistake for verdict in found] == [None, "raised", "factor"]


def test_two_mistakes_at_once_are_both_told():
    exercise = ENTRIES["dsm-loss"]
    verdict = check("dsm-loss", exercise.mistake("sign", "half"))
    assert verdict.mistake == "sign+half"
    assert verdict.sentence == f"two things. First: {exercise.wrong['sign'].hint} Second: {exercise.wrong['half'].hint}"


def test_what_is_no_answer():
    assert check("langevin-stp", right).sentence.startswith("there is no such exercise; near it: langevin-step")
    assert check("langevin-step").sentence == "not written yet."
    assert "hand over take_step itself" in check("langevin-step", 3.0).sentence
    assert check("score-scale", "ten").sentence == "the answer is a number, not a str."
    assert check("score-scale", ...).mistake == "stub"
    assert check("sm-conditions", "e").sentence == "choose one of 'a', 'b', 'c', 'd'."
    assert check("score-scale", 3).sentence == f"not yet. {ENTRIES['score-scale'].hint}"
    assert check("score-scale", torch.tensor(0.1))


def test_a_hint_and_the_progress():
    assert exercises.hint("langevin-step") == ENTRIES["langevin-step"].hint
    assert "near it: langevin-step" in exercises.hint("langevin-stp")
    check("score-scale", 0.1)
    check("affine-score", None)
    line = next(line for line in exercises.progress().splitlines() if line.startswith("01_"))
    assert "of 5 right" in line
    assert "affine-score" in line


def test_two_numbers_are_one_vector():
    moments = ENTRIES["langevin-moments"]
    for turn in (tuple, list, torch.tensor):
        assert check("langevin-moments", lambda *arguments, turn=turn: turn(moments.twin(*arguments).tolist()))


class Odd:
    def __float__(self):
        raise OSError("no number")


@pytest.mark.parametrize("answer", [[1], {"a": 1}, 10**400, 1j, Odd(), torch.ones(3), torch.ones(3).numpy(), object])
def test_no_answer_makes_check_raise(answer):
    for entry in ENTRIES.values():
        assert not check(entry.id, answer)
    assert not check(answer, answer)
    assert "no exercise" in exercises.hint(answer)
