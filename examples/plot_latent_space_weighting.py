"""
What weighting does to a latent space
=====================================

Two copies of one model learn the same images: one sees each image equally often, the other sees large squares
more often. What does a plane through each latent space decode to? (After Figure 1 of Tripp et al., 2020.)
"""

import numpy as np
import torch
from torch import nn

from wrlso import VAE, RankWeighting, Trainer
from wrlso.plots import latent_manifold, weight_distribution

# %%
# The data: 300 squares in images of 16 × 16 pixels. Most are small, and a few are large.

rng = np.random.default_rng(0)
X = np.zeros((300, 16, 16), dtype=np.uint8)
for image in X:
    side = 2 + rng.binomial(10, 0.25)
    top, left = rng.integers(0, 17 - side, size=2)
    image[top : top + side, left : left + side] = 1
y = X.sum(axis=(1, 2))


def trained(weights):
    """The same networks, data and steps each time: only the weights differ."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 4))
    decoder = nn.Sequential(nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 256), nn.Unflatten(1, (16, 16)))
    model = VAE(encoder, decoder)
    trainer = Trainer(initial_epochs=60, batch_size=32, lr=2e-3)
    trainer.fit(model, model.tensorize(X), weights, np.random.default_rng(0))
    return model


# %%
# Step 1: the weights. With k = 0.01 the largest squares have much of the weight.

uniform, ranked = np.ones(len(X)), RankWeighting(k=1e-2)(y)
weight_distribution(y, {"uniform": uniform, "by rank, k = 0.01": ranked})

# %%
# Step 2: the latent space of the uniform model. Squares grow towards the rim, and stay blurred there.

plain = trained(uniform)
latent_manifold(plain, plain.encode(plain.tensorize(X)).detach(), n_per_axis=11)

# %%
# Step 3: the latent space of the weighted model. The large squares at the rim have clearer edges.

weighted = trained(ranked)
latent_manifold(weighted, weighted.encode(weighted.tensorize(X)).detach(), n_per_axis=11)
# sphinx_gallery_thumbnail_number = 3
