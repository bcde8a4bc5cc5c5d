"""The lecture walked with a network's own numbers, from the output to one weight."""

from fastbp.explain.explanation import Explanation as Explanation
from fastbp.explain.factor import Factor as Factor
from fastbp.explain.factor import Product as Product
from fastbp.explain.jacobians import Jacobian as Jacobian

__all__ = ["Explanation", "Factor", "Jacobian", "Product"]
