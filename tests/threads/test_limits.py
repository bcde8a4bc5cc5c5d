"""bp.thread_limit: nesting, decorating, overlapping blocks, bad numbers, and the environment."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastbp as bp
from fastbp import checks
from fastbp.threads.pool import num_threads


def test_limits_nest():
    before = num_threads()
    with bp.thread_limit(3):
        assert num_threads() == 3
        with bp.thread_limit(5):  # the innermost counts, also when it is larger
            assert num_threads() == 5
            with bp.thread_limit(1):
                assert num_threads() == 1
            assert num_threads() == 5
        assert num_threads() == 3
    assert num_threads() == before


def test_none_lifts(monkeypatch):
    monkeypatch.setenv("FASTBP_NUM_THREADS", "7")
    with bp.thread_limit(3):
        with bp.thread_limit(None):
            assert num_threads() == 7
        assert num_threads() == 3
    monkeypatch.undo()
    with bp.thread_limit(None):  # counted anew
        assert num_threads() != 7


def test_an_error_inside_ends_the_limit():
    before = num_threads()
    with pytest.raises(KeyError), bp.thread_limit(3):
        raise KeyError
    assert num_threads() == before


def test_one_object_may_be_used_again_and_inside_itself():
    before, limit = num_threads(), bp.thread_limit(3)
    with limit, bp.thread_limit(4), limit:
        assert num_threads() == 3
    assert num_threads() == before
    with limit:
        assert num_threads() == 3


def test_decorator():
    before = num_threads()

    @bp.thread_limit(3)
    def inside(depth):
        return inside(depth - 1) if depth else num_threads()

    assert inside(3) == 3
    assert num_threads() == before


def test_nothing_happens_before_with():
    before = num_threads()
    limit = bp.thread_limit(3)
    assert num_threads() == before
    assert repr(limit) == "thread_limit(3)"


def test_other_threads_are_limited_too():
    with bp.thread_limit(3), ThreadPoolExecutor(2) as pool:
        assert pool.submit(num_threads).result() == 3


def test_blocks_that_overlap_leave_nothing_behind():
    before = num_threads()
    first, second, third = bp.thread_limit(3), bp.thread_limit(4), bp.thread_limit(5)
    first.__enter__()
    second.__enter__()
    third.__enter__()
    second.__exit__()
    assert num_threads() == 5
    first.__exit__()
    assert num_threads() == 5
    third.__exit__()
    assert num_threads() == before


def test_many_threads_with_limits_leave_nothing_behind():
    before = num_threads()

    def work(n):
        for _ in range(2000):
            with bp.thread_limit(n):
                assert num_threads() >= 1

    threads = [threading.Thread(target=work, args=(n,)) for n in (2, 3, 4, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert num_threads() == before


BAD = [0, -1, 1025, 10**30, 1.5, 2.0, "2", True, np.bool_(True), [2], float("nan")]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_bad_numbers(bad):
    with pytest.raises(bp.ConfigError, match=r"^n: got .*; wanted a whole number >= 1"):
        bp.thread_limit(bad)
    with pytest.raises(bp.ConfigError, match=r"^threads: got .*; wanted a whole number >= 1"):
        checks.threads(bad)


def test_bad_numbers_are_named():
    with pytest.raises(bp.ConfigError) as caught:
        checks.threads(-1)
    assert str(caught.value) == "threads: got -1; wanted a whole number >= 1 and <= 1024"
    with pytest.raises(bp.ConfigError, match="wanted a whole number"):
        checks.threads(None)


@pytest.mark.parametrize("good", [1, 1024, np.int32(3)])
def test_good_numbers(good):
    assert checks.threads(good) == good
    assert type(checks.threads(good)) is int
    with bp.thread_limit(good):
        assert num_threads() == good


# The environment


def test_a_bad_variable_is_an_error_at_first_use_and_not_at_import(python):
    code = """
import fastbp as bp
from fastbp.threads.pool import num_threads
for use in (num_threads, bp.thread_limit(None).__enter__, num_threads):
    try:
        use()
    except bp.ConfigError as exc:
        print(exc)
with bp.thread_limit(2):
    print(num_threads())
"""
    done = python(code, FASTBP_NUM_THREADS="many")
    wanted = "FASTBP_NUM_THREADS: got 'many'; wanted a whole number >= 1 and <= 1024"
    assert done.stdout.splitlines() == [wanted] * 3 + ["2"], done.stderr


def test_variables_count_in_a_new_process(python):
    code = "from fastbp.threads.pool import num_threads; print(num_threads())"
    assert python(code, FASTBP_NUM_THREADS="5", OMP_NUM_THREADS="1").stdout == "5\n"
    assert python(code, OMP_NUM_THREADS="1,2").stdout == "1\n"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_counts_anew_and_keeps_limits(monkeypatch):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("the system has no fork")
    num_threads()
    monkeypatch.setenv("FASTBP_NUM_THREADS", "6")

    def in_child():
        code = 99
        pid = os.fork()
        if pid == 0:
            try:
                code = num_threads()
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with bp.thread_limit(None):  # threadpoolctl may have set a limit before, and leaves one behind
        assert in_child() == 6
        with bp.thread_limit(3):
            assert in_child() == 3


def test_a_limit_is_left_as_often_as_it_was_entered():
    limit, other = bp.thread_limit(2), bp.thread_limit(3)
    for leave in (limit, other):
        with pytest.raises(bp.ConfigError, match=r"^thread_limit\([23]\): got an exit without"):
            leave.__exit__(None, None, None)
    with other:
        with limit:
            pass
        with pytest.raises(bp.ConfigError, match="got an exit without an entry"):
            limit.__exit__(None, None, None)
        assert num_threads() == 3
