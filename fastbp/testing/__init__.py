"""The conformance kit: whether layers and losses keep the contract, and gradients are right."""

from fastbp.testing.gradcheck import GradcheckReport as GradcheckReport
from fastbp.testing.gradcheck import gradcheck as gradcheck
from fastbp.testing.run import check_layer as check_layer
from fastbp.testing.run import check_loss as check_loss
from fastbp.testing.run import checks_for as checks_for
from fastbp.testing.run import parametrize_checks as parametrize_checks

__all__ = [
    "GradcheckReport",
    "check_layer",
    "check_loss",
    "checks_for",
    "gradcheck",
    "parametrize_checks",
]
