"""
Your own encoder, decoder and codec
===================================

Objects need not be arrays. A *codec* translates between your objects and arrays, like scikit-learn's
transformers: the networks see arrays, you see your objects. Here the objects are words of eight letters,
and the experiment counts changes between vowels and consonants.
"""

import numpy as np
from torch import nn

from wrlso import VAE, Trainer, WeightedRetrainingOptimizer, maximize
from wrlso.plots import progress_curve
from wrlso.testing import check_latent_model

LETTERS = "aeiobdkm"  # the first four are vowels


class WordCodec:
    """Words ↔ arrays of letter numbers."""

    def transform(self, X):
        return np.array([[LETTERS.index(letter) for letter in word] for word in X])

    def inverse_transform(self, array):
        return ["".join(LETTERS[i] for i in row) for row in array]


def experiment(word):
    vowels = [letter in "aeio" for letter in word]
    return sum(a != b for a, b in zip(vowels[:-1], vowels[1:], strict=True))


# %%
# With the categorical likelihood the encoder gets class numbers; the decoder returns logits, classes last.

encoder = nn.Sequential(nn.Embedding(8, 4), nn.Flatten(), nn.Linear(32, 48), nn.Tanh(), nn.Linear(48, 6))
decoder = nn.Sequential(nn.Linear(3, 48), nn.Tanh(), nn.Linear(48, 64), nn.Unflatten(1, (8, 8)))
model = VAE(encoder, decoder, likelihood="categorical", beta=0.1, codec=WordCodec())

rng = np.random.default_rng(1)
words = ["".join(rng.choice(list(LETTERS), 8)) for _ in range(100)]
words = [word for word in words if experiment(word) <= 4]

# %%
# Does the model keep the contract? If not, this raises an error that names the broken property.

check_latent_model(model, words[:5])

# %%
opt = WeightedRetrainingOptimizer(
    model=model, trainer=Trainer(initial_epochs=100, retrain_epochs=5), retrain_every=10, random_state=0
)
opt.fit(words, [experiment(word) for word in words])
result = maximize(experiment, opt, n_calls=60, target=7)
print(f"best of the data: 4, best found: {result.fun:.0f} ({result.x}), because {result.message}")
progress_curve(result.func_vals, start=4, optimum=7)
