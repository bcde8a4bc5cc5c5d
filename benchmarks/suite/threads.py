"""What a second thread brings."""

import os

import fastbp as bp

from .common import NETS, assert_network, problem, ratio, seconds_of

SGD = bp.SGD(1e-3)


class TwoThreads:
    """A step with two threads over the same step with one, float32: below 1 is faster.

    n/a where fastbp cannot limit threads yet, or the process may use one CPU alone.
    """

    version = "1"
    params = (NETS,)
    param_names = ("net/batch",)
    unit = "times one thread"

    def setup(self, net):
        if not hasattr(bp, "thread_limit"):
            raise NotImplementedError("this fastbp has no thread_limit")
        if len(os.sched_getaffinity(0)) < 2:
            raise NotImplementedError("one CPU: a second thread cannot run beside the first")
        self.net, self.X, self.y = problem(net, "float32")
        assert_network(self.net, self.X, self.y)
        one, two = self.net.copy(), self.net.copy()
        for threads, stepped in ((1, one), (2, two)):
            with bp.thread_limit(threads):
                stepped.step(self.X, self.y, SGD)
        if one.flat.tobytes() != two.flat.tobytes():
            raise AssertionError("step: two threads give other bits than one")
        self.calls = max(1, round(1e-3 / seconds_of(lambda: self.net.step(self.X, self.y, SGD))))

    def track_two_threads_over_one(self, *_):
        return ratio(lambda: self._steps(2), lambda: self._steps(1))

    def _steps(self, threads):
        # as many as take a millisecond, so that setting the limit does not count
        with bp.thread_limit(threads):
            for _ in range(self.calls):
                self.net.step(self.X, self.y, SGD)
