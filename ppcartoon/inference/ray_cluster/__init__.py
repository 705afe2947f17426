"""Inference on millions of images on a Ray cluster."""
