"""How long the steps of a start took, as the log says it."""

from benchtop_hub.sessions.steps import Steps


def test_each_step_takes_from_the_end_of_the_one_before():
    now = iter([10.0, 10.12, 10.43])
    steps = Steps(lambda: next(now))
    steps.ended("submit")
    steps.ended("queue")
    assert str(steps) == "submit_ms=120 queue_ms=310"


def test_a_step_ends_once():
    now = iter([0.0, 1.0, 3.0])
    steps = Steps(lambda: next(now))
    steps.ended("queue")
    steps.ended("queue")  # the queue is looked at again and again
    steps.ended("report")
    assert str(steps) == "queue_ms=1000 report_ms=2000"
