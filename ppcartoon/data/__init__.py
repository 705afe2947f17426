"""Training data: preparation, and the datasets that training reads."""
