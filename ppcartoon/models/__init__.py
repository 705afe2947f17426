"""Networks, losses and the training algorithm of CartoonLossGAN, in Paddle."""
