"""Products that skip zeros: beside long double, and beside products that do not, to the bit.

A column of B that is not finite sends its whole panel through tiles, which skip nothing; the other
columns of that panel must not change for it.
"""

import pytest

from fastbp.kernels.product import instruction_sets


@pytest.mark.parametrize("isa", instruction_sets())
def test_products_with_zeros_are_the_products(isa, program):
    done = program("zeros", FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_zero_has_one_sign_whether_zeros_are_skipped_or_not(isa, program):
    done = program("underflow", FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_zeros_are_skipped_to_the_same_bits_on_any_number_of_threads(isa, program):
    done = program("relu_over_threads", FASTBP_ISA=isa, FASTBP_NUM_THREADS="5")
    assert done.returncode == 0, done.stderr
