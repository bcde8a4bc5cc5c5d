"""threadpoolctl sees and limits fastbp, whoever is imported first; loky's workers too."""

import builtins

import pytest

import fastbp as bp
from fastbp.threads import threadpools
from fastbp.threads.pool import num_threads

threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")


def ours():
    return [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "fastbp"]


def test_info():
    (lib,) = ours()
    assert lib["internal_api"] == "fastbp"
    assert lib["num_threads"] == num_threads()
    assert lib["version"] == bp.__version__
    assert "fastbp" in lib["filepath"]


@pytest.mark.parametrize("which", [None, "fastbp"])
def test_limits(which):
    before = num_threads()
    with threadpoolctl.threadpool_limits(3, user_api=which):
        assert num_threads() == 3
        with threadpoolctl.threadpool_limits(1, user_api=which):
            assert num_threads() == 1
        assert num_threads() == 3
    assert num_threads() == before


@pytest.mark.parametrize("which", ["blas", "openmp"])
def test_limits_of_others_are_not_ours(which):
    before = num_threads()
    with threadpoolctl.threadpool_limits(before + 1, user_api=which):
        assert num_threads() == before


def test_both_kinds_of_limit_nest():
    before = num_threads()
    with bp.thread_limit(3):
        with threadpoolctl.threadpool_limits(1):
            assert num_threads() == 1
            with bp.thread_limit(2):
                assert num_threads() == 2
            assert num_threads() == 1
        assert num_threads() == 3
    assert num_threads() == before
    with threadpoolctl.threadpool_limits(1):
        with bp.thread_limit(3):
            assert num_threads() == 3
            assert ours()[0]["num_threads"] == 3
        assert num_threads() == 1
    assert num_threads() == before


def test_senseless_numbers_do_no_harm():
    (lib,) = threadpoolctl.ThreadpoolController().select(user_api="fastbp").lib_controllers
    with bp.thread_limit(3):
        for number, kept in ((0, 1), (-5, 1), (10**6, 1024)):
            lib.set_num_threads(number)
            assert num_threads() == kept


@pytest.mark.parametrize("order", ["fastbp, threadpoolctl", "threadpoolctl, fastbp"])
def test_the_order_of_imports_does_not_matter(python, order):
    """The limit is entered before fastbp is first used, the hardest case."""
    code = f"""
import {order}
with threadpoolctl.threadpool_limits(3):
    from fastbp.threads.pool import num_threads
    print(num_threads())
"""
    done = python(code, FASTBP_NUM_THREADS="8")
    assert done.stdout == "3\n", done.stderr


def test_without_threadpoolctl(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "threadpoolctl":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    threadpools.register()  # silent


def test_a_loky_worker_sees_its_limit(python):
    pytest.importorskip("joblib", reason="joblib is not installed")
    code = """
import joblib
from fastbp.threads.pool import num_threads
if __name__ == "__main__":
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        print(*joblib.Parallel()(joblib.delayed(num_threads)() for _ in range(4)))
    from joblib.externals.loky import get_reusable_executor
    get_reusable_executor().shutdown(wait=True)
"""
    done = python(code)
    assert done.stdout == "1 1 1 1\n", done.stderr
