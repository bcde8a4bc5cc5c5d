"""The lecture in plain NumPy: one function per equation, and the chain made of them.

This is the text to read first, and what the compiled kernels are tested against. Every function
takes and returns arrays of one float dtype; in ``np.longdouble`` it is the oracle of the tests.
Twins of a kernel go by its name.

- ``equations``: E1 to E10 for a batch, a row each example.
- ``chain``: the way forward and back through a whole network, with weights and reduction.
- ``jacobians``: the lecture's road map for one example, as explicit matrices.
"""

from fastbp.reference.chain import forward as forward
from fastbp.reference.chain import gradients as gradients
from fastbp.reference.equations import ACTIVATIONS as ACTIVATIONS
from fastbp.reference.equations import LOSSES as LOSSES
from fastbp.reference.equations import as_rows as as_rows
from fastbp.reference.equations import below_max as below_max
from fastbp.reference.equations import bias_sum as bias_sum
from fastbp.reference.equations import dense_backward as dense_backward
from fastbp.reference.equations import dense_forward as dense_forward
from fastbp.reference.equations import identity as identity
from fastbp.reference.equations import outer_sum as outer_sum
from fastbp.reference.equations import relu_backward as relu_backward
from fastbp.reference.equations import relu_forward as relu_forward
from fastbp.reference.equations import sigmoid_backward as sigmoid_backward
from fastbp.reference.equations import sigmoid_cross_entropy as sigmoid_cross_entropy
from fastbp.reference.equations import (
    sigmoid_cross_entropy_backward as sigmoid_cross_entropy_backward,
)
from fastbp.reference.equations import sigmoid_cross_entropy_dy_hat as sigmoid_cross_entropy_dy_hat
from fastbp.reference.equations import sigmoid_forward as sigmoid_forward
from fastbp.reference.equations import softmax as softmax
from fastbp.reference.equations import softmax_cross_entropy as softmax_cross_entropy
from fastbp.reference.equations import (
    softmax_cross_entropy_backward as softmax_cross_entropy_backward,
)
from fastbp.reference.equations import softmax_cross_entropy_dy_hat as softmax_cross_entropy_dy_hat
from fastbp.reference.equations import squared_error as squared_error
from fastbp.reference.equations import squared_error_backward as squared_error_backward
from fastbp.reference.equations import tanh_backward as tanh_backward
from fastbp.reference.equations import tanh_forward as tanh_forward
from fastbp.reference.jacobians import activation_jacobian as activation_jacobian
from fastbp.reference.jacobians import bias_jacobian as bias_jacobian
from fastbp.reference.jacobians import dense_jacobian as dense_jacobian
from fastbp.reference.jacobians import output_jacobian as output_jacobian
from fastbp.reference.jacobians import road as road
from fastbp.reference.jacobians import softmax_jacobian as softmax_jacobian
from fastbp.reference.jacobians import weight_jacobian as weight_jacobian
