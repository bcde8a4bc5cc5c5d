"""`fastbp train` learns real digits: what the README promises, with the command's own settings."""

from fastbp.cli import parser
from fastbp.commands.train import train


def test_held_out_accuracy_of_five_seeds():
    accuracies = []
    for seed in range(5):
        options = parser().parse_args(["train", "--seed", str(seed)])
        _, results = train(options)
        accuracies.append(results["held_out_accuracy"])
    print("held-out accuracies of seeds 0-4:", *(f"{accuracy:.4f}" for accuracy in accuracies))
    assert sum(accuracies) / 5 >= 0.97
    assert min(accuracies) >= 0.96
    assert len(set(accuracies)) > 1, "the seed changes nothing"
