"""What an explanation holds and can be asked for."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.explain import data, destination, document, picture, show
from fastbp.explain.record import Walk
from fastbp.explain.walk import walk
from fastbp.gradients import Gradients
from fastbp.layout import Layout, Views
from fastbp.losses import Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Explanation:
    """The gradient of one example's loss with respect to one weight, factor by factor.

    Made by :meth:`fastbp.Network.explain`. ``print`` shows the walk as text; a notebook shows it
    as a table. It is of the moment it was made: no later change of the network changes it, and it
    keeps the network's weights, in float64.

    Attributes
    ----------
    row : int
        The example.
    weight : tuple
        The weight's name and indices, ``("dense1.W", 1, 2)``.
    loss : float
        ℓ_n of that example, unscaled and without l2.
    note : str
        Why the walk does not begin with ∂ℒ/∂ŷ, and which layers look at whole batches; "" where
        there is nothing of the kind.
    factors : tuple of Factor
        From ∂ℒ/∂ŷ (E4) to ∂a_k/∂W_kij (E8): name, sentence, equation, letters and numbers of its
        formula, value and shape, and in ``running`` the product so far. The first value is a row
        vector, the last a column vector, both read-only arrays; a matrix is a ``Jacobian``, which
        ``row @ jacobian`` multiplies and ``np.asarray(jacobian)`` forms.
    product : float
        Of all factors: ∂ℓ_n/∂weight.
    outer : float or None
        E8's δ_ki h_{k-1,j}, or E9's δ_ki, of the kernels' pass in float64; None for parameters of
        layers that are not affine.
    gradient : float
        What ``net.gradients`` gives for this example alone, unscaled and without l2, in the
        network's own dtype.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.mlp([2, 3, 2], activation="tanh", dtype="float64", rng=0)
    >>> walk = net.explain(np.array([[1.0, 2.0]]), [1], weight=("dense1.W", 0, 1))
    >>> [factor.name for factor in walk.factors]
    ['∂ℒ/∂ŷ', '∂ŷ/∂a₂', '∂a₂/∂h₁', '∂h₁/∂a₁', '∂a₁/∂W₁[0,1]']
    >>> bool(np.isclose(walk.product, walk.gradient, rtol=1e-10))
    True
    """

    def __init__(
        self,
        walk: Walk,
        network: str,
        dtype: str,
        l2: float,
        outer: float | None,
        gradient: float,
    ) -> None:
        self._walk, self._network, self._dtype = walk, network, dtype
        self.row = walk.row
        self.weight = (walk.weight.name, *walk.weight.index)
        self.loss, self.note = walk.output.loss, walk.note
        self.factors = walk.factors
        self.product = float(walk.factors[-1].running.value)
        self.outer, self.gradient = outer, gradient
        self._document = document.write(
            walk, network, f"in {dtype}{', without l2' if l2 else ''}", outer, gradient
        )

    def __str__(self) -> str:
        return show.text(self._document)

    __repr__ = __str__

    def to_markdown(self) -> str:
        """The walk as a Markdown document: headings, tables and text.

        Returns
        -------
        str

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> net = bp.mlp([2, 3, 2], rng=0)
        >>> print(net.explain(np.ones((1, 2)), [1]).to_markdown().splitlines()[2])
        **talk to the output layer, talk to the previous hidden layer, and now talk to the weights**
        """
        return show.markdown(self._document)

    def _repr_html_(self) -> str:
        return show.html(self._document)

    def as_dict(self) -> dict[str, Any]:
        """The walk as plain lists, numbers and text, for JSON.

        Returns
        -------
        dict
            ``"network"``, ``"dtype"``, ``"row"``, ``"weight"``, ``"target"``, ``"loss"``,
            ``"note"``, ``"sentence"``;
            ``"factors"``: for each ``{"name", "sentence", "equation", "formula", "numbers",
            "shape", "value"}``, where value is the list of a vector's entries, or of a matrix's
            rows when it has at most 6 rows and columns, else what the matrix is made of,
            ``{"parameter": "dense2.W"}``, ``{"diagonal": [...]}``, ``{"softmax": ŷ}`` or
            ``{"backward": layer}``;
            ``"running"``: the product after each factor, ``{"name", "equation", "formula",
            "numbers", "value"}``;
            ``"product"``, ``"outer"``, ``"gradient"``: as the attributes; the gradient is None
            where it overflows the network's dtype;
            ``"matrix"``: ∇_W ℒ = δ hᵀ of the walked weight when that is at most 4 x 4, else None;
            ``"values"``: ``"x"``, ``"h_0"``, each ``"a_1"``, ``"h_1"``, ..., and ``"y_hat"``.

        Examples
        --------
        >>> import json, numpy as np, fastbp as bp
        >>> net = bp.mlp([2, 3, 2], rng=0)
        >>> text = json.dumps(net.explain(np.ones((1, 2)), [1]).as_dict())
        >>> json.loads(text)["running"][1]["name"]
        '∂ℒ/∂a₂'
        """
        return {
            "network": self._network,
            "dtype": self._dtype,
            "row": self.row,
            "weight": list(self.weight),
            **data.of_walk(self._walk),
            "product": self.product,
            "outer": self.outer,
            "gradient": self.gradient if math.isfinite(self.gradient) else None,
        }

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """One picture of the network: values forward, gradients backward, the chain marked.

        Each unit shows its value in its left half and a gradient in its right half: that with
        respect to what stands at the column's head, which is the unit itself but for ŷ, where it
        may be ∂ℒ/∂a_L. Colours go by the square root. Small networks have the numbers too, value
        above and gradient below. Grey lines are as thick as the gradient of their weight. The
        walked weight and its chain are blue: each line is as thick as the share of the product
        that flows through it, among those shown of its layer, and dashed where that has the other
        sign. Layers of more than 12 units show the 10 where |value · gradient| is largest, among
        them the walked weight's own, the example's class and the predicted one, and say how many
        are left out.

        Parameters
        ----------
        path : str or path-like, optional
            Also save it; the ending decides the format.

        Returns
        -------
        matplotlib.figure.Figure
            ``figure.savefig(path)`` saves it; a notebook in which ``%matplotlib inline`` was run
            shows it.

        Raises
        ------
        ConfigError
            matplotlib is not installed, which the extra ``plot`` brings; or it cannot write files
            of that ending, or not there.
        DtypeError
            `path` is not a path.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> walk = bp.mlp([2, 3, 2], rng=0).explain(np.ones((1, 2)), [1])
        >>> walk.plot().savefig("walk.png")  # doctest: +SKIP
        """
        return picture.draw(self._walk, document.title(self._walk), path)


@np.errstate(all="ignore")
def explain(
    network: str,
    l2: float,
    layout: Layout,
    loss: Loss,
    params: Views,
    buffers: Views,
    key: tuple[int, int],
    batch: Batch,
    row: int,
    weight: Any,
    exact: Gradients,
    own: Gradients,
) -> Explanation:
    """Walk to a weight, and hold what arrives beside the gradients of the usual pass.

    Parameters
    ----------
    network : str
        How the network calls itself.
    l2 : float
        Its λ, which the gradients are without.
    layout : Layout
        In float64, as are params, buffers and batch.
    loss : Loss
    params, buffers : list of dict
        Of each layer.
    key : (int, int)
        The network's seed and step.
    batch : Batch
        One row.
    row : int
        The caller's number of it.
    weight : None, str or sequence
        As the caller named it.
    exact, own : Gradients
        Of that row, in float64 and in the network's dtype, with scale 1 and without l2.
    """

    def outer(name: str) -> tuple[Array, Array] | None:
        """The two factors of an affine layer's gradient."""
        position = layout.slots[name].layer
        if position not in layout.affine:
            return None
        delta, h = exact.factors[layout.affine.index(position) + 1]
        return delta[0], h[0] if layout.slots[name].key == "W" else np.ones(1)

    def largest(name: str) -> tuple[int, ...]:
        factors = outer(name)
        if factors is None:
            gradient = np.abs(exact[name])
            return tuple(map(int, np.unravel_index(np.argmax(gradient), gradient.shape)))
        i, j = (int(np.argmax(np.abs(factor))) for factor in factors)  # of |δ hᵀ|, unformed
        return (i, j)[: len(layout.slots[name].shape)]

    found = destination.find(layout, weight, largest)
    walked = walk(layout, loss, params, buffers, key, batch.x, batch.targets, row, found)
    factors, index = outer(found.name), found.index
    product = None
    if factors is not None:
        delta, h = factors
        product = float(delta[index[0]] * h[index[1] if len(index) > 1 else 0])
    gradient = float(own[found.name][index])
    return Explanation(walked, network, own[found.name].dtype.name, l2, product, gradient)
