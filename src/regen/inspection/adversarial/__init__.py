"""GAN: how the training game went, and whether generated rows are new."""
