"""Several goals at once: searches in the latent space of a trained VAE, against other methods."""
