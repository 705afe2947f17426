"""Prediction on photos: predictor, engines, large images, batches, export, Ray clusters."""
