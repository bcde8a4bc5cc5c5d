"""The lecture walked with a network's own numbers, from the output to one weight."""

from fastbp.explain.destination import example as example
from fastbp.explain.destination import finite as finite
from fastbp.explain.explanation import Explanation as Explanation
from fastbp.explain.explanation import explain as explain
from fastbp.explain.factor import Factor as Factor
from fastbp.explain.factor import Product as Product

__all__ = ["Explanation", "Factor", "Product", "example", "explain", "finite"]
