"""Names of the libraries in tables, and the distributions that bring them. Imports none of them."""

DISTRIBUTIONS = {
    "fastbp": "fastbp",
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "sklearn": "scikit-learn",
    "thinc": "thinc",
}
OTHERS = tuple(name for name in DISTRIBUTIONS if name != "fastbp")
